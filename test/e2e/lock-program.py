# Takes locks as it is told on its standard input, a line each, and answers with a line each. Without a client of ours: what it
# sees is what any program sees.
#
#   open NAME PATH MODE      NAME is a descriptor from then on; MODE is r or w
#   close NAME
#   lock NAME HOW TYPE START LENGTH    HOW: posix, ofd, flock; TYPE: read, write, none
#   wait NAME HOW TYPE START LENGTH    the same, and waits
#   test NAME HOW TYPE START LENGTH    F_GETLK, F_OFD_GETLK
#   write NAME OFFSET TEXT, read NAME OFFSET LENGTH, sync NAME
import errno
import fcntl
import os
import signal
import struct
import sys

F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
TYPES = {'read': fcntl.F_RDLCK, 'write': fcntl.F_WRLCK, 'none': fcntl.F_UNLCK}
NAMES = {code: name for name, code in TYPES.items()}
FLOCK_TYPES = {'read': fcntl.LOCK_SH, 'write': fcntl.LOCK_EX, 'none': fcntl.LOCK_UN}
files = {}


# A handler that raises ends a wait with the error that the kernel gave: python would go on by itself otherwise.
class Interrupted(Exception):
    pass


def on_alarm(_signal, _frame):
    raise Interrupted()


signal.signal(signal.SIGUSR1, on_alarm)


def record(kind, start, length):
    return struct.pack('hhqqi', TYPES[kind], os.SEEK_SET, int(start), int(length), 0)


def lock(wait, name, how, kind, start, length):
    fd = files[name]
    if how == 'flock':
        fcntl.flock(fd, FLOCK_TYPES[kind] | (0 if wait else fcntl.LOCK_NB))
    elif how == 'ofd':
        fcntl.fcntl(fd, F_OFD_SETLKW if wait else F_OFD_SETLK, record(kind, start, length))
    else:
        fcntl.fcntl(fd, fcntl.F_SETLKW if wait else fcntl.F_SETLK, record(kind, start, length))
    return 'ok'


def test(name, how, kind, start, length):
    command = F_OFD_GETLK if how == 'ofd' else fcntl.F_GETLK
    answer = fcntl.fcntl(files[name], command, record(kind, start, length))
    found, _, start, length, pid = struct.unpack('hhqqi', answer)
    return 'free' if found == fcntl.F_UNLCK else f'{NAMES[found]} {start} {length} {pid}'


def perform(command, *rest):
    if command == 'open':
        name, path, mode = rest
        files[name] = os.open(path, os.O_RDONLY if mode == 'r' else os.O_RDWR)
        return 'ok'
    if command == 'close':
        os.close(files.pop(rest[0]))
        return 'ok'
    if command in ('lock', 'wait'):
        return lock(command == 'wait', *rest)
    if command == 'test':
        return test(*rest)
    if command == 'write':
        os.pwrite(files[rest[0]], rest[2].encode(), int(rest[1]))
        return 'ok'
    if command == 'read':
        return os.pread(files[rest[0]], int(rest[2]), int(rest[1])).decode('latin1')
    if command == 'sync':
        os.fsync(files[rest[0]])
        return 'ok'
    raise ValueError(command)


for line in iter(sys.stdin.readline, ''):
    try:
        answer = perform(*line.split())
    except Interrupted:
        answer = 'EINTR'
    except OSError as error:
        # (Which python knows by another name, too.)
        answer = 'EDEADLK' if error.errno == errno.EDEADLK else errno.errorcode.get(error.errno, str(error.errno))
    print(answer, flush=True)
