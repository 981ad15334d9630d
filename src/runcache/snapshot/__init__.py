"""Snapshots: folders as a manifest and packs, of which only what changed is moved.

```python
from runcache.snapshot.index import FileIndex
from runcache.snapshot.manifest import Limits, Manifest
from runcache.snapshot.restore import restore
from runcache.snapshot.save import save

index = FileIndex(cache_folder)
written = save([b"/srv/app/node_modules"], sink=upload, bases=[Manifest.decode(data)], index=index)
restored = restore(Manifest.decode(data), [b"/home/me/node_modules"], source=download, index=index)
```

* `save.save(roots, *, sink, scanning=None, bases=(), index=None, level=3, progress=…, threads=2)
  -> Written` scans the roots, packs what is in none of the bases, and returns the manifest.
* `restore.restore(manifest, roots, *, source, index=None, sightings=None, exact=None, progress=…,
  hands=Hands(threads=2, may_fork=False)) -> Restored` makes the folders be what the manifest says.
  `sightings.Sightings` say which files are still as the index knows them. With `exact`, a
  selection, it removes what a save of the same would add; `scan.everything` is one.
* `manifest.Manifest.decode(data, limits=…)` refuses all that could not have been saved, before
  anything is written. `Manifest.records()` lists what is in it.
* `packs.PackSink` and `packs.PackSource` are where packs go to and come from; `scan.Selection`
  says what belongs to a snapshot, and a `scan.Scan` with it finds that.

Names of files are bytes, relative to a numbered root: `roots` are absolute paths as bytes, in the
same order for save and restore. A root may itself be a file or a link; none may lie in another.

Errors: `FileUnreadable` and `FileUnwritable` for what the disk refuses, `BrokenEntry` and
`UnsafeEntry` for entries that cannot be believed, `PartlyRestored` if a restore failed after it had
replaced files; and whatever `sink` or `source` raise. `docs/snapshot-format.md` has the format.
"""
