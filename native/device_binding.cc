// The device as JavaScript sees it: an opaque handle and functions on it.
#include "device.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>

#include "napi.h"
#include "waker.h"

namespace gfs {

namespace {

constexpr napi_type_tag kDeviceTag = {0x6766732d64657669ULL, 0x63652d68616e646cULL};
// IOV_MAX of Linux, less the part that holds the headers.
constexpr uint32_t kPartCountMax = 1023;

struct Handle {
  std::shared_ptr<Device> device;
  std::shared_ptr<Waker> waker;
  napi_ref on_wake = nullptr;
  // What the JavaScript side reads requests from: three numbers each. It owns the memory.
  uint32_t* table = nullptr;
  napi_ref table_reference = nullptr;
  std::vector<Device::Ready> taken;
};

Handle* get_handle(napi_env env, napi_value value) {
  bool tagged = false;
  void* handle = nullptr;
  if (napi_check_object_type_tag(env, value, &kDeviceTag, &tagged) != napi_ok || !tagged ||
      napi_get_value_external(env, value, &handle) != napi_ok) {
    throw_error(env, "native: a device was expected");
    return nullptr;
  }
  return static_cast<Handle*>(handle);
}

// onWake(count, ended, errno, written...), with the requests in the table and how much of each lane was written.
void deliver(napi_env env, Handle* handle) {
  if (handle->on_wake == nullptr) return;
  bool ended = false;
  int error = 0;
  const size_t count = handle->device->take(handle->taken.data(), &ended, &error);
  for (size_t index = 0; index < count; index += 1) {
    handle->table[index * 3] = handle->taken[index].buffer;
    handle->table[index * 3 + 1] = handle->taken[index].length;
    handle->table[index * 3 + 2] = handle->taken[index].reader;
  }
  napi_value callback = nullptr;
  napi_get_reference_value(env, handle->on_wake, &callback);
  if (ended) {
    handle->device->close();
    handle->waker->close();
    // The callback closes over whoever owns the handle: held any longer, neither would ever be collected.
    napi_delete_reference(env, handle->on_wake);
    handle->on_wake = nullptr;
  }
  napi_value arguments[3 + Device::kLaneCount] = {make_int32(env, static_cast<int32_t>(count)), make_boolean(env, ended),
                                                  make_int32(env, error)};
  for (uint32_t lane = 0; lane < Device::kLaneCount; lane += 1) {
    napi_create_int64(env, static_cast<int64_t>(handle->device->written(lane)), &arguments[3 + lane]);
  }
  napi_call_function(env, make_undefined(env), callback, std::size(arguments), arguments, nullptr);
}

void finalize_handle(napi_env env, void* data, void*) {
  auto* handle = static_cast<Handle*>(data);
  handle->waker->close();
  if (handle->on_wake != nullptr) napi_delete_reference(env, handle->on_wake);
  napi_delete_reference(env, handle->table_reference);
  delete handle;
}

// openDevice(fd, readerCount, bufferCount, bufferBytes, outBytes, settledCount, table: Uint32Array, onWake)
//   -> { handle, memory }
napi_value open_device(napi_env env, napi_callback_info info) {
  napi_value arguments[8];
  int32_t fd = -1;
  uint32_t reader_count = 0;
  uint32_t buffer_count = 0;
  uint32_t buffer_bytes = 0;
  uint32_t out_bytes = 0;
  uint32_t settled_count = 0;
  if (!get_arguments(env, info, arguments) || !get_int32(env, arguments[0], &fd) ||
      !get_uint32(env, arguments[1], &reader_count) || !get_uint32(env, arguments[2], &buffer_count) ||
      !get_uint32(env, arguments[3], &buffer_bytes) || !get_uint32(env, arguments[4], &out_bytes) ||
      !get_uint32(env, arguments[5], &settled_count)) {
    return nullptr;
  }
  void* table = nullptr;
  size_t table_length = 0;
  napi_typedarray_type type = napi_int8_array;
  if (napi_get_typedarray_info(env, arguments[6], &type, &table_length, &table, nullptr, nullptr) != napi_ok ||
      type != napi_uint32_array || table_length < buffer_count * 3) {
    throw_error(env, "native: a table of three numbers for each buffer was expected");
    return nullptr;
  }

  Device::Options options = {{fd}, buffer_count, buffer_bytes, out_bytes, settled_count};
  while (options.fds.size() < reader_count) {
    const int clone = Device::clone(fd);
    // Without a queue of its own a reader shares the first one's.
    options.fds.push_back(clone < 0 ? fd : clone);
  }
  const std::shared_ptr<Device> device = Device::create(options);
  if (device == nullptr) {
    for (const int other : options.fds) {
      if (other != fd) close(other);
    }
    throw_errno(env, "buffers of the FUSE device", ENOMEM);
    return nullptr;
  }

  auto* handle = new Handle;
  handle->device = device;
  handle->table = static_cast<uint32_t*>(table);
  handle->taken.resize(buffer_count);
  napi_create_reference(env, arguments[6], 1, &handle->table_reference);
  napi_create_reference(env, arguments[7], 1, &handle->on_wake);
  handle->waker = Waker::create(env, "gfs.device", [handle](napi_env env) { deliver(env, handle); });

  napi_value result = nullptr;
  napi_value external = nullptr;
  napi_value memory = nullptr;
  napi_create_object(env, &result);
  napi_create_external(env, handle, finalize_handle, nullptr, &external);
  napi_type_tag_object(env, external, &kDeviceTag);
  // The memory lives for as long as a thread or a JavaScript view of it does.
  auto* owner = new std::shared_ptr<Device>(device);
  const auto on_finalize = [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<Device>*>(hint); };
  napi_create_external_arraybuffer(env, device->memory(), device->memory_bytes(), on_finalize, owner, &memory);
  napi_set_named_property(env, result, "handle", external);
  napi_set_named_property(env, result, "memory", memory);
  const std::shared_ptr<Waker> waker = handle->waker;
  Device::start(device, [waker] { waker->wake(); });
  return result;
}

// releaseBuffer(handle, index)
napi_value release_buffer(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  uint32_t index = 0;
  if (!get_arguments(env, info, arguments)) return nullptr;
  Handle* handle = get_handle(env, arguments[0]);
  if (handle == nullptr || !get_uint32(env, arguments[1], &index)) return nullptr;
  if (!handle->device->release(index)) throw_error(env, "native: the buffer was not lent out");
  return nullptr;
}

// ready(handle, node, attributes: Uint8Array, milliseconds)
napi_value ready(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  double node = 0;
  uint32_t milliseconds = 0;
  uint8_t* data = nullptr;
  size_t length = 0;
  if (!get_arguments(env, info, arguments)) return nullptr;
  Handle* handle = get_handle(env, arguments[0]);
  if (handle == nullptr || !get_double(env, arguments[1], &node) || !get_bytes(env, arguments[2], &data, &length) ||
      !get_uint32(env, arguments[3], &milliseconds)) {
    return nullptr;
  }
  uint8_t attributes[Device::kAttributesBytes];
  if (length != sizeof(attributes)) {
    throw_error(env, "native: the attributes of a node were expected");
    return nullptr;
  }
  memcpy(attributes, data, sizeof(attributes));
  handle->device->ready(static_cast<uint64_t>(node), attributes, milliseconds);
  return nullptr;
}

napi_value forget_node(napi_env env, napi_callback_info info, void (Device::*forget)(uint64_t)) {
  napi_value arguments[2];
  double node = 0;
  if (!get_arguments(env, info, arguments)) return nullptr;
  Handle* handle = get_handle(env, arguments[0]);
  if (handle == nullptr || !get_double(env, arguments[1], &node)) return nullptr;
  (handle->device.get()->*forget)(static_cast<uint64_t>(node));
  return nullptr;
}

// unready(handle, node), 0: all
napi_value unready(napi_env env, napi_callback_info info) { return forget_node(env, info, &Device::unready); }

// bare(handle, node, milliseconds)
napi_value bare(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  double node = 0;
  uint32_t milliseconds = 0;
  if (!get_arguments(env, info, arguments)) return nullptr;
  Handle* handle = get_handle(env, arguments[0]);
  if (handle == nullptr || !get_double(env, arguments[1], &node) || !get_uint32(env, arguments[2], &milliseconds)) {
    return nullptr;
  }
  handle->device->bare(static_cast<uint64_t>(node), milliseconds);
  return nullptr;
}

// unbare(handle, node), 0: all
napi_value unbare(napi_env env, napi_callback_info info) { return forget_node(env, info, &Device::unbare); }

// answerCounts(handle) -> { attributes, xattrs }: questions that the readers answered by what was ready, or bare
napi_value answer_counts(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  if (!get_arguments(env, info, arguments)) return nullptr;
  Handle* handle = get_handle(env, arguments[0]);
  if (handle == nullptr) return nullptr;
  napi_value result = nullptr;
  napi_value attributes = nullptr;
  napi_value xattrs = nullptr;
  napi_create_object(env, &result);
  napi_create_int64(env, static_cast<int64_t>(handle->device->ready_answers()), &attributes);
  napi_create_int64(env, static_cast<int64_t>(handle->device->bare_answers()), &xattrs);
  napi_set_named_property(env, result, "attributes", attributes);
  napi_set_named_property(env, result, "xattrs", xattrs);
  return result;
}

// reply(handle, reader, outLength, parts?: Uint8Array[]) -> errno or 0
napi_value reply(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  uint32_t reader = 0;
  uint32_t out_length = 0;
  if (!get_arguments(env, info, arguments)) return nullptr;
  Handle* handle = get_handle(env, arguments[0]);
  if (handle == nullptr || !get_uint32(env, arguments[1], &reader) || !get_uint32(env, arguments[2], &out_length)) {
    return nullptr;
  }
  Device& device = *handle->device;
  if (out_length > device.out_bytes()) {
    throw_error(env, "native: a reply's head is longer than its room");
    return nullptr;
  }
  struct iovec parts[kPartCountMax + 1];
  parts[0] = {device.out(), out_length};
  uint32_t part_count = 0;
  bool has_parts = false;
  napi_is_array(env, arguments[3], &has_parts);
  if (has_parts) {
    napi_get_array_length(env, arguments[3], &part_count);
    if (part_count > kPartCountMax) {
      throw_error(env, "native: a reply has too many parts");
      return nullptr;
    }
    for (uint32_t index = 0; index < part_count; index += 1) {
      napi_value part = nullptr;
      uint8_t* data = nullptr;
      size_t length = 0;
      napi_get_element(env, arguments[3], index, &part);
      if (!get_bytes(env, part, &data, &length)) return nullptr;
      parts[index + 1] = {data, length};
    }
  }
  return make_int32(env, device.reply(reader, parts, static_cast<int>(part_count + 1)));
}

// notify(handle, lane, message: Uint8Array) -> false when too many are waiting
napi_value notify(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  uint32_t lane = 0;
  uint8_t* message = nullptr;
  size_t length = 0;
  if (!get_arguments(env, info, arguments)) return nullptr;
  Handle* handle = get_handle(env, arguments[0]);
  if (handle == nullptr || !get_uint32(env, arguments[1], &lane) || !get_bytes(env, arguments[2], &message, &length)) {
    return nullptr;
  }
  if (lane >= Device::kLaneCount) {
    throw_error(env, "native: a lane for notifications was expected");
    return nullptr;
  }
  return make_boolean(env, Device::notify(handle->device, lane, message, length));
}

}  // namespace

void register_device(napi_env env, napi_value exports) {
  export_function(env, exports, "openDevice", open_device);
  export_function(env, exports, "releaseBuffer", release_buffer);
  export_function(env, exports, "ready", ready);
  export_function(env, exports, "unready", unready);
  export_function(env, exports, "bare", bare);
  export_function(env, exports, "unbare", unbare);
  export_function(env, exports, "answerCounts", answer_counts);
  export_function(env, exports, "reply", reply);
  export_function(env, exports, "notify", notify);
}

}  // namespace gfs
