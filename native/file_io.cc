// What Node does not do with files.
//
// preadv2(2) with RWF_NOWAIT: reads what the page cache holds without ever waiting for the disk. A hop to libuv's pool and
// back costs ten times the read itself; with this only reads that must wait for a disk pay for it.
//
// fallocate(2), to give the room of a range back: that may wait for the file system's journal.
#include <fcntl.h>
#include <sys/uio.h>

#include <cerrno>

#include "apart.h"
#include "napi.h"

namespace gfs {

namespace {

// preadNowait(fd, bytes, position): bytes read, 0 at the end of the file, -1 when it would have to wait (or the file
// system cannot tell).
napi_value pread_nowait(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  int32_t fd = -1;
  uint8_t* data = nullptr;
  size_t length = 0;
  double position = 0;
  if (!get_arguments(env, info, arguments) || !get_int32(env, arguments[0], &fd) ||
      !get_bytes(env, arguments[1], &data, &length) || !get_double(env, arguments[2], &position)) {
    return nullptr;
  }
  const iovec vector{data, length};
  ssize_t count = 0;
  do {
    count = preadv2(fd, &vector, 1, static_cast<off_t>(position), RWF_NOWAIT);
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return make_int32(env, static_cast<int32_t>(count));
  if (errno == EAGAIN || errno == EOPNOTSUPP) return make_int32(env, -1);
  throw_errno(env, "preadv2", errno);
  return nullptr;
}

// punchHole(fd, start, length) -> Promise<void>
napi_value punch_hole(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  int32_t fd = -1;
  double start = 0;
  double length = 0;
  if (!get_arguments(env, info, arguments) || !get_int32(env, arguments[0], &fd) ||
      !get_double(env, arguments[1], &start) || !get_double(env, arguments[2], &length)) {
    return nullptr;
  }
  return run_apart(env, "fallocate", [=] {
    const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    int result = 0;
    do {
      result = fallocate(fd, mode, static_cast<off_t>(start), static_cast<off_t>(length));
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
  });
}

}  // namespace

void register_file_io(napi_env env, napi_value exports) {
  export_function(env, exports, "preadNowait", pread_nowait);
  export_function(env, exports, "punchHole", punch_hole);
}

}  // namespace gfs
