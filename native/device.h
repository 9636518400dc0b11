// The FUSE device: threads that wait in read(2), a pool of buffers between them and the JavaScript thread, and a thread for
// notifications. Plain C++: whoever owns it says how the JavaScript thread is woken.
//
// Why threads of our own: a read waits for as long as nobody uses the mount. In libuv's pool it would starve every file
// operation and hang process.exit. Why more for notifications: the invalidation of a name waits while the kernel has a look-up
// of the same directory unanswered; written by the thread that answers look-ups, it would never return. And why three, in lanes
// of their own: what never waits (an inode's) shall not wait behind it, nor behind pages that are being read, and these not
// behind names. And why these threads have a descriptor table and a queue of their own: no signal ends that wait. Killed
// meanwhile, the process would keep all it has open, and with it the look-up that is waited for.
#ifndef GFS_NATIVE_DEVICE_H
#define GFS_NATIVE_DEVICE_H

#include <sys/uio.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace gfs {

// What is known of nodes, each for its time. A node is at its remainder by the count; 0 stands for none.
template <typename Known, size_t kCount>
class NodeTable {
 public:
  // Null when there is nothing, or its time is over.
  const Known* find(uint64_t node) const {
    const Entry& entry = entries_[node % kCount];
    const bool holds = node != 0 && entry.node == node && std::chrono::steady_clock::now() < entry.until;
    return holds ? &entry.known : nullptr;
  }

  void put(uint64_t node, uint32_t milliseconds, const Known& known) {
    entries_[node % kCount] = {node, std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds), known};
  }

  // 0: all.
  void forget(uint64_t node) {
    if (node == 0) {
      for (Entry& entry : entries_) entry.node = 0;
    } else if (Entry& entry = entries_[node % kCount]; entry.node == node) {
      entry.node = 0;
    }
  }

 private:
  struct Entry {
    uint64_t node = 0;
    std::chrono::steady_clock::time_point until;
    Known known;
  };
  Entry entries_[kCount];
};

class Device {
 public:
  static constexpr uint32_t kLaneCount = 3;
  // Of a fuse_attr_out.
  static constexpr size_t kAttributesBytes = 104;
  static constexpr size_t kReadyCount = 256;
  static constexpr size_t kBareCount = 16384;

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
    // Room behind the pool's last buffer, for the replies that the JavaScript thread puts together. A multiple of eight.
    size_t out_bytes;
    // Entries of the table behind that (see `settled`).
    uint32_t settled_count;
  };

  // A second queue on the same connection; -1 when it cannot be had. What was read from a queue ends with its descriptor.
  static int clone(int fd);

  // Null when there is no memory for the pool; the descriptors then stay the caller's.
  static std::shared_ptr<Device> create(const Options& options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // The pool's buffers one after another, then the room for replies, then a u64, how many flushes the readers answered
  // themselves, then the table of settled open files.
  uint8_t* memory() const { return memory_; }
  size_t memory_bytes() const { return memory_bytes_; }
  uint8_t* out() const { return memory_ + options_.buffer_count * options_.buffer_bytes; }
  size_t out_bytes() const { return options_.out_bytes; }
  // A table of u32: the number of an open file at its remainder by the count, while its flushes have nothing to do. The
  // JavaScript thread writes it, at any time; a reader that finds the number there answers a flush with success.
  uint32_t* settled() const { return reinterpret_cast<uint32_t*>(answered() + 1); }
  uint64_t* answered() const { return reinterpret_cast<uint64_t*>(out() + options_.out_bytes); }

  // `wake` is called from any thread when take() has something new, or a lane was emptied; once for any number of these.
  static void start(const std::shared_ptr<Device>& device, std::function<void()> wake);

  // --- on the JavaScript thread ---

  // Moves up to buffer_count requests into `out`; returns how many. `ended` becomes true when no reader is left and nothing
  // will come any more; then `error` is the errno that ended the last one (ENODEV: unmounted).
  size_t take(Ready* out, bool* ended, int* error);
  // Gives a buffer back to the readers.
  bool release(uint32_t buffer);
  // From now on the readers answer by themselves what a node is like: with these bytes, a fuse_attr_out, until so many
  // milliseconds are over, `unready` is called, or another node takes the place.
  void ready(uint64_t node, const uint8_t (&attributes)[kAttributesBytes], uint32_t milliseconds);
  // What is asked after this is delivered; nothing is being answered any more. 0: of all nodes.
  void unready(uint64_t node);
  // How many such questions the readers answered.
  uint64_t ready_answers();
  // From now on the readers answer that a node has no ACLs and no capabilities: until so many milliseconds are over,
  // `unbare` is called, or another node takes the place.
  void bare(uint64_t node, uint32_t milliseconds);
  // As `unready`.
  void unbare(uint64_t node);
  uint64_t bare_answers();
  // Writes one reply; 0 or an errno. Never waits: the kernel copies and goes on.
  int reply(uint32_t reader, const struct iovec* parts, int count);
  // Hands a notification to the thread of its lane; false when too many are waiting there.
  static bool notify(const std::shared_ptr<Device>& device, uint32_t lane, const uint8_t* message, size_t length);
  // How many notifications of a lane were written, since the device began.
  uint64_t written(uint32_t lane);
  // After take() said `ended`: closes the descriptors, ends the notifier. Replies fail with ENODEV from now on.
  void close();

 private:
  explicit Device(const Options& options) : options_(options) {}
  void read_requests(uint32_t reader);
  // Whether the request was a flush that has nothing to do: then it is answered.
  bool answer_settled(int fd, const uint8_t* request, size_t length);
  // Whether it was about a node that is ready: then it is answered.
  bool answer_ready(int fd, const uint8_t* request, size_t length);
  // Whether it was about an ACL or the capabilities of a node that is bare: then it is answered.
  bool answer_bare(int fd, const uint8_t* request, size_t length);
  struct Lane;
  void write_notifications(Lane& lane, int fd);
  // Wakes the JavaScript thread for the lanes: their threads have no descriptor to do it by.
  void relay();

  const Options options_;
  uint8_t* memory_ = nullptr;
  size_t memory_bytes_ = 0;
  std::function<void()> wake_;
  // JavaScript thread only.
  bool closed_ = false;
  bool relay_started_ = false;

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
  std::condition_variable relay_wanted_;
  bool has_written_ = false;
  bool relay_stopped_ = false;

  struct Lane {
    std::mutex mutex;
    std::condition_variable added;
    // Guarded by the mutex.
    std::deque<std::vector<uint8_t>> waiting;
    uint64_t written = 0;
    bool started = false;
    bool stopped = false;
  };
  Lane lanes_[kLaneCount];

  struct Attributes {
    uint8_t bytes[kAttributesBytes];
  };
  struct Nothing {};
  std::mutex ready_mutex_;
  // Guarded by ready_mutex_.
  NodeTable<Attributes, kReadyCount> ready_nodes_;
  uint64_t ready_answers_ = 0;
  NodeTable<Nothing, kBareCount> bare_nodes_;
  uint64_t bare_answers_ = 0;
};

}  // namespace gfs

#endif
