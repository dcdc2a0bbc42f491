/* Freezes an image into a released folder. */
#ifndef SCHEMA_COMPAT_RELEASE_H
#define SCHEMA_COMPAT_RELEASE_H

#include "settings.h"
#include "source.h"

/* Writes FOLDER/NAME.binpb, without source positions and drafts, and adds it to the sums.  Takes the image's
 * descriptors apart: it is good for image_deinit only afterwards.  An image of that name stays as it is: other
 * bytes are refused.  On false a line was written to standard error. */
bool release_write(struct image *image, const char *const *drafts, const char *folder,
                   const char *name);

#endif
