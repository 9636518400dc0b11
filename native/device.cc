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
#include <future>
#include <set>
#include <thread>

namespace gfs {

namespace {

constexpr size_t kNotificationCountMax = 65536;

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
  device->memory_bytes_ = options.buffer_count * options.buffer_bytes + options.out_bytes;
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
    const ssize_t length = read(fd, memory_ + buffer * options_.buffer_bytes, options_.buffer_bytes);
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

size_t Device::take(Ready* out, bool* ended, int* error, uint32_t* barriers) {
  std::lock_guard<std::mutex> lock(mutex_);
  woken_ = false;
  const size_t count = ready_.size();
  std::copy(ready_.begin(), ready_.end(), out);
  ready_.clear();
  *ended = reader_count_ == 0;
  *error = error_;
  *barriers = barriers_passed_;
  barriers_passed_ = 0;
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

bool Device::notify(const std::shared_ptr<Device>& device, const uint8_t* message, size_t length) {
  if (device->closed_) return false;
  std::lock_guard<std::mutex> lock(device->notifications_mutex_);
  if (device->notifications_.size() >= kNotificationCountMax) return false;
  if (!device->notifier_started_) {
    // A descriptor of its own: the thread may still be in write(2) when the others are closed.
    const int fd = fcntl(device->options_.fds[0], F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return false;
    device->notifier_started_ = true;
    std::promise<bool> leaving;
    std::future<bool> left = leaving.get_future();
    // Detached like the readers, and holding the device; it never wakes anybody.
    std::thread([device, fd, leaving = std::move(leaving)]() mutable {
      block_signals();
      const bool has_left = leave_descriptors(fd);
      leaving.set_value(has_left);
      const int queue = has_left ? Device::clone(fd) : -1;
      if (queue >= 0) ::close(fd);
      device->write_notifications(queue >= 0 ? queue : fd);
    }).detach();
    if (left.get()) ::close(fd);
    // What wakes the JavaScript thread is a descriptor, of which the notifier has none.
    std::thread([device] {
      block_signals();
      device->tell_of_barriers();
    }).detach();
  }
  device->notifications_.emplace_back(message, message + length);
  device->notification_added_.notify_one();
  return true;
}

void Device::write_notifications(int fd) {
  std::unique_lock<std::mutex> lock(notifications_mutex_);
  for (;;) {
    notification_added_.wait(lock, [this] { return notifier_stopped_ || !notifications_.empty(); });
    if (notifier_stopped_) break;
    const std::vector<uint8_t> message = std::move(notifications_.front());
    notifications_.pop_front();
    if (message.empty()) {
      barriers_untold_ += 1;
      barrier_passed_.notify_one();
      continue;
    }
    lock.unlock();
    // ENOENT says that the kernel knows nothing of the inode or name: then there was nothing to invalidate.
    while (write(fd, message.data(), message.size()) < 0 && errno == EINTR) {
    }
    lock.lock();
  }
  lock.unlock();
  ::close(fd);
}

void Device::tell_of_barriers() {
  std::unique_lock<std::mutex> lock(notifications_mutex_);
  for (;;) {
    barrier_passed_.wait(lock, [this] { return notifier_stopped_ || barriers_untold_ > 0; });
    if (notifier_stopped_) return;
    const uint32_t passed = barriers_untold_;
    barriers_untold_ = 0;
    lock.unlock();
    bool wake = false;
    {
      std::lock_guard<std::mutex> requests_lock(mutex_);
      barriers_passed_ += passed;
      wake = !woken_;
      woken_ = true;
    }
    if (wake) wake_();
    lock.lock();
  }
}

void Device::close() {
  if (closed_) return;
  closed_ = true;
  // The same descriptor may serve several readers.
  for (const int fd : std::set<int>(options_.fds.begin(), options_.fds.end())) ::close(fd);
  std::lock_guard<std::mutex> lock(notifications_mutex_);
  notifier_stopped_ = true;
  notification_added_.notify_one();
  barrier_passed_.notify_one();
}

}  // namespace gfs
