#include "device.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/fuse.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>
#include <iterator>
#include <set>
#include <thread>

namespace gfs {

namespace {

// Of one lane.
constexpr size_t kNotificationCountMax = 65536;
// A lane that is never empty tells from time to time how far it came.
constexpr uint64_t kWrittenWake = 256;

// Signals are the JavaScript thread's business: one delivered here would interrupt a read for nothing.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

// Gives this thread a descriptor table of its own with this descriptor alone. False before Linux 5.9: nothing was done.
bool leave_descriptors(int but) {
  const auto kept = static_cast<unsigned>(but);
  if (syscall(SYS_close_range, kept + 1, ~0U, CLOSE_RANGE_UNSHARE) != 0) return false;
  if (kept > 0) syscall(SYS_close_range, 0U, kept - 1, 0);
  return true;
}

static_assert(sizeof(fuse_attr_out) == Device::kAttributesBytes, "as the kernel has it");

// What kernels and `ls -l` ask of each file, whether or not anybody set it; with the NUL that ends it.
bool asked_without_need(const uint8_t* name, size_t length) {
  static constexpr const char* kNames[] = {"system.posix_acl_access", "system.posix_acl_default", "security.capability"};
  return std::any_of(std::begin(kNames), std::end(kNames), [name, length](const char* one) {
    return length == strlen(one) + 1 && memcmp(name, one, length) == 0;
  });
}

// When the kernel waits for it no more, or is gone, the next read tells.
void write_reply(int fd, const void* reply, size_t length) {
  while (write(fd, reply, length) < 0 && errno == EINTR) {
  }
}

}  // namespace

int Device::clone(int fd) {
  const int clone = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (clone < 0) return -1;
  uint32_t source = static_cast<uint32_t>(fd);
  if (ioctl(clone, FUSE_DEV_IOC_CLONE, &source) == 0) return clone;
  ::close(clone);
  return -1;
}

std::shared_ptr<Device> Device::create(const Options& options) {
  std::shared_ptr<Device> device(new Device(options));
  const size_t table_bytes = sizeof(uint64_t) + options.settled_count * sizeof(uint32_t);
  device->memory_bytes_ = options.buffer_count * options.buffer_bytes + options.out_bytes + table_bytes;
  // Pages appear when they are touched: a mount that never sees large writes uses little of this.
  void* memory = mmap(nullptr, device->memory_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    device->closed_ = true;
    return nullptr;
  }
  device->memory_ = static_cast<uint8_t*>(memory);
  device->lent_.assign(options.buffer_count, false);
  device->ready_.reserve(options.buffer_count);
  for (uint32_t index = options.buffer_count; index > 0; index -= 1) device->free_.push_back(index - 1);
  return device;
}

Device::~Device() {
  if (memory_ != nullptr) munmap(memory_, memory_bytes_);
}

void Device::start(const std::shared_ptr<Device>& device, std::function<void()> wake) {
  device->wake_ = std::move(wake);
  device->reader_count_ = static_cast<uint32_t>(device->options_.fds.size());
  for (uint32_t reader = 0; reader < device->options_.fds.size(); reader += 1) {
    // Detached, and holding the device: at the process's exit they sit in read(2), and nobody can join them.
    std::thread([device, reader] {
      block_signals();
      device->read_requests(reader);
    }).detach();
  }
}

void Device::read_requests(uint32_t reader) {
  const int fd = options_.fds[reader];
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    // An empty pool is the backpressure: the kernel keeps what we do not read.
    buffer_released_.wait(lock, [this] { return !free_.empty(); });
    const uint32_t buffer = free_.back();
    free_.pop_back();
    lock.unlock();
    uint8_t* request = memory_ + buffer * options_.buffer_bytes;
    ssize_t length = 0;
    do {
      length = read(fd, request, options_.buffer_bytes);
    } while (length >= 0 && (answer_settled(fd, request, static_cast<size_t>(length)) ||
                             answer_ready(fd, request, static_cast<size_t>(length)) ||
                             answer_bare(fd, request, static_cast<size_t>(length))));
    const int error = errno;
    lock.lock();
    if (length >= 0) {
      lent_[buffer] = true;
      ready_.push_back({buffer, static_cast<uint32_t>(length), reader});
    } else {
      free_.push_back(buffer);
      // ENOENT: the request was interrupted before we had it.
      if (error == EINTR || error == ENOENT) continue;
      reader_count_ -= 1;
      error_ = error;
      buffer_released_.notify_one();
    }
    const bool wake = !woken_ && (length >= 0 || reader_count_ == 0);
    if (wake) {
      woken_ = true;
      lock.unlock();
      wake_();
      lock.lock();
    }
    if (length < 0) return;
  }
}

bool Device::answer_settled(int fd, const uint8_t* request, size_t length) {
  struct {
    fuse_in_header header;
    fuse_flush_in flush;
  } whole;
  if (length != sizeof(whole)) return false;
  memcpy(&whole, request, sizeof(whole));
  const uint64_t open_file = whole.flush.fh;
  if (whole.header.opcode != FUSE_FLUSH || open_file == 0 || open_file > UINT32_MAX) return false;
  const uint32_t* entry = settled() + open_file % options_.settled_count;
  if (__atomic_load_n(entry, __ATOMIC_SEQ_CST) != open_file) return false;
  const fuse_out_header reply = {sizeof(reply), 0, whole.header.unique};
  write_reply(fd, &reply, sizeof(reply));
  __atomic_fetch_add(answered(), 1, __ATOMIC_RELAXED);
  return true;
}

bool Device::answer_ready(int fd, const uint8_t* request, size_t length) {
  fuse_in_header header;
  if (length != sizeof(header) + sizeof(fuse_getattr_in)) return false;
  memcpy(&header, request, sizeof(header));
  if (header.opcode != FUSE_GETATTR) return false;
  std::lock_guard<std::mutex> lock(ready_mutex_);
  const Attributes* attributes = ready_nodes_.find(header.nodeid);
  if (attributes == nullptr) return false;
  uint8_t reply[sizeof(fuse_out_header) + kAttributesBytes];
  const fuse_out_header head = {sizeof(reply), 0, header.unique};
  memcpy(reply, &head, sizeof(head));
  memcpy(reply + sizeof(head), attributes->bytes, kAttributesBytes);
  write_reply(fd, reply, sizeof(reply));
  ready_answers_ += 1;
  return true;
}

void Device::ready(uint64_t node, const uint8_t (&attributes)[kAttributesBytes], uint32_t milliseconds) {
  Attributes known;
  memcpy(known.bytes, attributes, kAttributesBytes);
  std::lock_guard<std::mutex> lock(ready_mutex_);
  ready_nodes_.put(node, milliseconds, known);
}

void Device::unready(uint64_t node) {
  std::lock_guard<std::mutex> lock(ready_mutex_);
  ready_nodes_.forget(node);
}

uint64_t Device::ready_answers() {
  std::lock_guard<std::mutex> lock(ready_mutex_);
  return ready_answers_;
}

bool Device::answer_bare(int fd, const uint8_t* request, size_t length) {
  fuse_in_header header;
  constexpr size_t kNameAt = sizeof(header) + sizeof(fuse_getxattr_in);
  if (length <= kNameAt) return false;
  memcpy(&header, request, sizeof(header));
  if (header.opcode != FUSE_GETXATTR || !asked_without_need(request + kNameAt, length - kNameAt)) return false;
  std::lock_guard<std::mutex> lock(ready_mutex_);
  if (bare_nodes_.find(header.nodeid) == nullptr) return false;
  const fuse_out_header reply = {sizeof(reply), -ENODATA, header.unique};
  write_reply(fd, &reply, sizeof(reply));
  bare_answers_ += 1;
  return true;
}

void Device::bare(uint64_t node, uint32_t milliseconds) {
  std::lock_guard<std::mutex> lock(ready_mutex_);
  bare_nodes_.put(node, milliseconds, {});
}

void Device::unbare(uint64_t node) {
  std::lock_guard<std::mutex> lock(ready_mutex_);
  bare_nodes_.forget(node);
}

uint64_t Device::bare_answers() {
  std::lock_guard<std::mutex> lock(ready_mutex_);
  return bare_answers_;
}

size_t Device::take(Ready* out, bool* ended, int* error) {
  std::lock_guard<std::mutex> lock(mutex_);
  woken_ = false;
  const size_t count = ready_.size();
  std::copy(ready_.begin(), ready_.end(), out);
  ready_.clear();
  *ended = reader_count_ == 0;
  *error = error_;
  return count;
}

bool Device::release(uint32_t buffer) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (buffer >= lent_.size() || !lent_[buffer]) return false;
    lent_[buffer] = false;
    free_.push_back(buffer);
  }
  buffer_released_.notify_one();
  return true;
}

int Device::reply(uint32_t reader, const struct iovec* parts, int count) {
  if (closed_ || reader >= options_.fds.size()) return ENODEV;
  for (;;) {
    if (writev(options_.fds[reader], parts, count) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

bool Device::notify(const std::shared_ptr<Device>& device, uint32_t index, const uint8_t* message, size_t length) {
  if (device->closed_) return false;
  Lane& lane = device->lanes_[index];
  std::lock_guard<std::mutex> lock(lane.mutex);
  if (lane.waiting.size() >= kNotificationCountMax) return false;
  if (!lane.started) {
    // A descriptor of its own: the thread may still be in write(2) when the others are closed.
    const int fd = fcntl(device->options_.fds[0], F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return false;
    lane.started = true;
    std::promise<bool> leaving;
    std::future<bool> left = leaving.get_future();
    // Detached like the readers, and holding the device.
    std::thread([device, &lane, fd, leaving = std::move(leaving)]() mutable {
      block_signals();
      const bool has_left = leave_descriptors(fd);
      leaving.set_value(has_left);
      const int queue = has_left ? Device::clone(fd) : -1;
      if (queue >= 0) ::close(fd);
      device->write_notifications(lane, queue >= 0 ? queue : fd);
    }).detach();
    if (left.get()) ::close(fd);
    if (!device->relay_started_) {
      device->relay_started_ = true;
      std::thread([device] {
        block_signals();
        device->relay();
      }).detach();
    }
  }
  lane.waiting.emplace_back(message, message + length);
  lane.added.notify_one();
  return true;
}

void Device::write_notifications(Lane& lane, int fd) {
  std::unique_lock<std::mutex> lock(lane.mutex);
  for (;;) {
    lane.added.wait(lock, [&lane] { return lane.stopped || !lane.waiting.empty(); });
    if (lane.stopped) break;
    const std::vector<uint8_t> message = std::move(lane.waiting.front());
    lane.waiting.pop_front();
    lock.unlock();
    // ENOENT says that the kernel knows nothing of the inode or name: then there was nothing to invalidate.
    while (write(fd, message.data(), message.size()) < 0 && errno == EINTR) {
    }
    lock.lock();
    lane.written += 1;
    if (!lane.waiting.empty() && lane.written % kWrittenWake != 0) continue;
    lock.unlock();
    {
      std::lock_guard<std::mutex> lock_relay(mutex_);
      has_written_ = true;
      relay_wanted_.notify_one();
    }
    lock.lock();
  }
  lock.unlock();
  ::close(fd);
}

void Device::relay() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    relay_wanted_.wait(lock, [this] { return relay_stopped_ || has_written_; });
    if (relay_stopped_) return;
    has_written_ = false;
    if (woken_) continue;
    woken_ = true;
    lock.unlock();
    wake_();
    lock.lock();
  }
}

uint64_t Device::written(uint32_t index) {
  Lane& lane = lanes_[index];
  std::lock_guard<std::mutex> lock(lane.mutex);
  return lane.written;
}

void Device::close() {
  if (closed_) return;
  closed_ = true;
  // The same descriptor may serve several readers.
  for (const int fd : std::set<int>(options_.fds.begin(), options_.fds.end())) ::close(fd);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    relay_stopped_ = true;
    relay_wanted_.notify_one();
  }
  for (Lane& lane : lanes_) {
    std::lock_guard<std::mutex> lock(lane.mutex);
    lane.stopped = true;
    lane.added.notify_one();
  }
}

}  // namespace gfs
