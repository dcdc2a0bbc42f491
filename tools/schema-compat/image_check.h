/* What an image must hold before it is compared. */
#ifndef SCHEMA_COMPAT_IMAGE_CHECK_H
#define SCHEMA_COMPAT_IMAGE_CHECK_H

#include "image.h"

/* NULL when names, numbers and types are all there; else what is missing, for free(). */
char *image_check(const FileSet *set);
/* On an indexed image: no name twice, and every type that a field or method names is in the image. */
char *image_check_names(const struct image *image);

#endif
