"""Disks that can fail: a loop image whose power is cut, and a tmpfs that fills up."""

import fcntl
import os
import struct
import subprocess
import time

from site_under_test import Failure, run

# _IOR('X', 125, __u32) of the ext4 driver; the argument says what becomes of the journal.
EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2


def why_not():
    """The reason why power cannot be cut here, or None."""
    if os.geteuid() != 0:
        return "this is not root"
    for tool in ("mkfs.ext4", "mount", "umount"):
        if subprocess.run(["which", tool], stdout=subprocess.DEVNULL).returncode != 0:
            return f"{tool} is missing"
    if not os.path.exists("/dev/loop-control"):
        return "there are no loop devices"
    return None


class Image:
    """An ext4 image on a loop device."""

    def __init__(self, folder, mebibytes=768):
        self.path = os.path.join(folder, "disk.img")
        self.mountpoint = os.path.join(folder, "disk")
        os.makedirs(self.mountpoint, exist_ok=True)
        with open(self.path, "wb") as image:
            image.truncate(mebibytes << 20)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.path)
        self.mounted = False
        self.mount()

    def mount(self):
        run("mount", "-o", "loop", self.path, self.mountpoint)
        self.mounted = True

    def cut(self):
        """From here on nothing reaches the disk, not even the journal."""
        fd = os.open(self.mountpoint, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def unmount(self):
        if not self.mounted:
            return
        # The last file of a killed process may be closed a moment after its end.
        for _ in range(100):
            if run("umount", self.mountpoint, check=False).returncode == 0:
                self.mounted = False
                return
            time.sleep(0.05)
        raise Failure(f"{self.mountpoint} stays busy")

    def remove(self):
        self.unmount()
        os.unlink(self.path)


class Tmpfs:
    """A file system of a fixed size in memory."""

    def __init__(self, folder, mebibytes):
        self.mountpoint = os.path.join(folder, "small")
        os.makedirs(self.mountpoint, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", self.mountpoint)

    def grow(self, mebibytes):
        run("mount", "-o", f"remount,size={mebibytes}m", self.mountpoint)

    def remove(self):
        for _ in range(100):
            if run("umount", self.mountpoint, check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise Failure(f"{self.mountpoint} stays busy")
