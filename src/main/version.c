/* The commit this binary was built from; a file of its own, so that a commit rebuilds nothing else. */
#include "main/app.h"

const char *const version_commit = TENANT_COMMIT;
