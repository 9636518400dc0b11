// flock(2), which Node has not: the lock of a data directory. It belongs to the open file, so the kernel drops it when the
// process ends in whatever way; a lock file with a pid in it would outlive kill -9.
#include <sys/file.h>

#include <cerrno>

#include "napi.h"

namespace gfs {

namespace {

// flock(fd): true when the lock is ours now, false when another open file has it.
napi_value flock_exclusive(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  int32_t fd = -1;
  if (!get_arguments(env, info, arguments) || !get_int32(env, arguments[0], &fd)) return nullptr;
  int result = 0;
  do {
    result = flock(fd, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return make_boolean(env, true);
  if (errno == EWOULDBLOCK) return make_boolean(env, false);
  throw_errno(env, "flock", errno);
  return nullptr;
}

}  // namespace

void register_flock(napi_env env, napi_value exports) {
  export_function(env, exports, "flock", flock_exclusive);
}

}  // namespace gfs
