// The FUSE device: threads that wait in read(2), a pool of buffers between them and the JavaScript thread, and a thread for
// notifications. Plain C++: whoever owns it says how the JavaScript thread is woken.
//
// Why threads of our own: a read waits for as long as nobody uses the mount. In libuv's pool it would starve every file
// operation and hang process.exit. Why one more for notifications: an invalidation waits while the kernel has a look-up of
// the same directory unanswered; written by the thread that answers look-ups, it would never return. And why that thread has
// a descriptor table and a queue of its own: no signal ends its wait. Killed meanwhile, the process would keep all it has open,
// and with it the look-up that is waited for.
#ifndef GFS_NATIVE_DEVICE_H
#define GFS_NATIVE_DEVICE_H

#include <sys/uio.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace gfs {

class Device {
 public:
  // A request that lies in a buffer of the pool until the buffer is released. Its reply goes to the reader's
  // descriptor: with cloned queues the kernel looks for the request there and nowhere else.
  struct Ready {
    uint32_t buffer;
    uint32_t length;
    uint32_t reader;
  };
  struct Options {
    // Owned by the device from now on. One for each reader; the same number may be there twice.
    std::vector<int> fds;
    uint32_t buffer_count;
    // A multiple of the page size, as large as the largest request with its headers.
    size_t buffer_bytes;
    // Room behind the pool's last buffer, for the replies that the JavaScript thread puts together.
    size_t out_bytes;
  };

  // A second queue on the same connection; -1 when it cannot be had. What was read from a queue ends with its descriptor.
  static int clone(int fd);

  // Null when there is no memory for the pool; the descriptors then stay the caller's.
  static std::shared_ptr<Device> create(const Options& options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // The pool's buffers one after another, then the room for replies.
  uint8_t* memory() const { return memory_; }
  size_t memory_bytes() const { return memory_bytes_; }
  uint8_t* out() const { return memory_ + options_.buffer_count * options_.buffer_bytes; }
  size_t out_bytes() const { return options_.out_bytes; }

  // `wake` is called from reader threads when take() has something new, once for any number of requests.
  static void start(const std::shared_ptr<Device>& device, std::function<void()> wake);

  // --- on the JavaScript thread ---

  // Moves up to buffer_count requests into `out`; returns how many. `ended` becomes true when no reader is left and nothing
  // will come any more; then `error` is the errno that ended the last one (ENODEV: unmounted).
  // `barriers`: how many have been passed since the last time.
  size_t take(Ready* out, bool* ended, int* error, uint32_t* barriers);
  // Gives a buffer back to the readers.
  bool release(uint32_t buffer);
  // Writes one reply; 0 or an errno. Never waits: the kernel copies and goes on.
  int reply(uint32_t reader, const struct iovec* parts, int count);
  // Hands a notification to its thread; false when too many are waiting.
  // A message without a byte is a barrier: it is passed, and take() says so, when all before it have been written.
  static bool notify(const std::shared_ptr<Device>& device, const uint8_t* message, size_t length);
  // After take() said `ended`: closes the descriptors, ends the notifier. Replies fail with ENODEV from now on.
  void close();

 private:
  explicit Device(const Options& options) : options_(options) {}
  void read_requests(uint32_t reader);
  void write_notifications(int fd);
  void tell_of_barriers();

  const Options options_;
  uint8_t* memory_ = nullptr;
  size_t memory_bytes_ = 0;
  std::function<void()> wake_;
  // JavaScript thread only.
  bool closed_ = false;

  std::mutex mutex_;
  std::condition_variable buffer_released_;
  // Guarded by mutex_ from here on. Last in, first out: the pages last used are used again, and stay few.
  std::vector<uint32_t> free_;
  std::vector<bool> lent_;
  std::vector<Ready> ready_;
  // Between wake() and take(): nobody needs to wake again.
  bool woken_ = false;
  uint32_t reader_count_ = 0;
  int error_ = 0;
  uint32_t barriers_passed_ = 0;

  std::mutex notifications_mutex_;
  std::condition_variable notification_added_;
  // Guarded by notifications_mutex_.
  std::deque<std::vector<uint8_t>> notifications_;
  bool notifier_started_ = false;
  bool notifier_stopped_ = false;
  std::condition_variable barrier_passed_;
  uint32_t barriers_untold_ = 0;
};

}  // namespace gfs

#endif
