// mount(2), umount2(2), and the descriptor that fusermount3 sends to users who may not call them.
//
// Both calls run on a thread of their own: the kernel may wait in them for requests that only the JavaScript thread can
// answer (dirty pages of a mapping are written back while unmounting), and in libuv's pool one that never returns would hang
// process.exit.
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "apart.h"
#include "napi.h"

namespace gfs {

namespace {

// mount(source, target, type, flags, data) -> Promise<void>
napi_value mount_apart(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  std::string source;
  std::string target;
  std::string type;
  std::string data;
  uint32_t flags = 0;
  if (!get_arguments(env, info, arguments) || !get_string(env, arguments[0], &source) ||
      !get_string(env, arguments[1], &target) || !get_string(env, arguments[2], &type) ||
      !get_uint32(env, arguments[3], &flags) || !get_string(env, arguments[4], &data)) {
    return nullptr;
  }
  return run_apart(env, "mount", [=] {
    return mount(source.c_str(), target.c_str(), type.c_str(), flags, data.c_str()) == 0 ? 0 : errno;
  });
}

// unmount(target, lazily: boolean) -> Promise<void>
napi_value unmount_apart(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  std::string target;
  bool lazily = false;
  if (!get_arguments(env, info, arguments) || !get_string(env, arguments[0], &target)) return nullptr;
  napi_get_value_bool(env, arguments[1], &lazily);
  return run_apart(env, "umount", [=] {
    const int flags = UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0);
    return umount2(target.c_str(), flags) == 0 ? 0 : errno;
  });
}

// socketPair() -> [ours, theirs]
napi_value socket_pair(napi_env env, napi_callback_info) {
  int fds[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    throw_errno(env, "socketpair", errno);
    return nullptr;
  }
  napi_value result = nullptr;
  napi_create_array_with_length(env, 2, &result);
  for (uint32_t index = 0; index < 2; index += 1) {
    napi_set_element(env, result, index, make_int32(env, fds[index]));
  }
  return result;
}

// receiveDescriptor(socket) -> fd, or -1 when none is waiting there. Never waits: the sender has ended by now.
napi_value receive_descriptor(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  int32_t socket = -1;
  if (!get_arguments(env, info, arguments) || !get_int32(env, arguments[0], &socket)) return nullptr;
  char byte = 0;
  struct iovec part = {&byte, 1};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t received = 0;
  do {
    received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received <= 0) return make_int32(env, -1);
  const struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int))) {
    return make_int32(env, -1);
  }
  int fd = -1;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return make_int32(env, fd);
}

}  // namespace

void register_mount(napi_env env, napi_value exports) {
  export_function(env, exports, "mount", mount_apart);
  export_function(env, exports, "unmount", unmount_apart);
  export_function(env, exports, "socketPair", socket_pair);
  export_function(env, exports, "receiveDescriptor", receive_descriptor);
}

}  // namespace gfs
