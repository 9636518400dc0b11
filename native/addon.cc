// Joins the topics into one addon: what Node cannot do, and nothing else.
#include "napi.h"

NAPI_MODULE_INIT() {
  gfs::register_file_io(env, exports);
  gfs::register_device(env, exports);
  gfs::register_flock(env, exports);
  gfs::register_mount(env, exports);
  return exports;
}
