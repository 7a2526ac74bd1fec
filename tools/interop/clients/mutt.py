"""mutt in batch: comes back with QRESYNC and a header cache, all of it compressed."""

from clients.neomutt import resynchronizes


def comes_back_compressed(site, report):
    said = resynchronizes(site, report, "mutt", "set imap_deflate=yes\n")
    report.expect("COMPRESS", "COMPRESS DEFLATE" in said, True)


TESTS = (comes_back_compressed,)
