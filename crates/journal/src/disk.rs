//! The disk as a parameter: files of one directory, with exactly the guarantees that the journal builds on.

use std::any::Any;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The one folder below the journal's directory. It exists from the start.
pub const LOST_AND_FOUND: &str = "lost+found";

/// A directory of files.
///
/// A name is a bare file name, or one below the folder `lost+found/`. What survives the loss of power:
///
/// * the bytes of a file: those written before its last [`DiskFile::sync_data`] that returned without an error;
/// * the names (creations, renames, removals): those made before the last [`Disk::sync_dir`] of their folder.
///
/// Anything else may survive wholly, in parts or not at all, in any combination. A byte that is written over itself is
/// what it was and will be, power or not. After a failed sync nothing is known about the bytes that it was to make
/// durable, not even when a later sync succeeds, though they may be read back: they must be written again first. The same holds for a file's length.
pub trait Disk: Send + Sync + 'static {
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates an empty file, or empties an existing one.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name in one step; a file that had the name is gone.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The file names of a folder, in no order; `""` is the directory itself. Folders are left out.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Makes the names of a folder durable; `""` is the directory itself.
    fn sync_dir(&self, folder: &str) -> io::Result<()>;

    /// How much room there is; `None` when that cannot be told.
    fn space(&self) -> io::Result<Option<Space>> {
        Ok(None)
    }

    /// Claims the directory for this process until the value is dropped. [`io::ErrorKind::WouldBlock`] when somebody
    /// else has it.
    fn lock(&self) -> io::Result<DiskLock>;
}

/// The room on the file system that a directory lies on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What this process may still write.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

/// Holds a directory's lock while it lives.
pub type DiskLock = Box<dyn Any + Send + Sync>;

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `bytes` from the position on; [`io::ErrorKind::UnexpectedEof`] when the file ends before.
    fn read_exact_at(&self, bytes: &mut [u8], position: u64) -> io::Result<()>;

    /// Writes all of `bytes` at the position.
    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Cuts the file to `len` bytes, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the file's bytes and length durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
}

/// Creates a directory with all that is missing above it, mode 0700, so that its names survive the loss of power. One
/// that is there already is no error.
pub fn create_directory(path: &Path) -> io::Result<()> {
    for step in steps(path, Path::is_dir) {
        if step.is_missing
            && let Err(error) = DirBuilder::new().mode(0o700).create(step.directory)
            && !step.directory.is_dir()
        {
            return Err(error);
        }
        // A directory's name is in its parent. One that was there may have been made by a process that died before it
        // synced; where this process may not open or sync the parent, it was not one of ours.
        if let Err(error) = File::open(step.parent).and_then(|parent| parent.sync_all())
            && (step.is_missing || error.raw_os_error() == Some(EIO))
        {
            return Err(error);
        }
    }
    Ok(())
}

/// The disk could not do it.
const EIO: i32 = 5;

/// A directory on the way to a path, and where its name is.
#[derive(Debug, PartialEq, Eq)]
struct DirectoryStep<'a> {
    directory: &'a Path,
    parent: &'a Path,
    is_missing: bool,
}

/// What makes a directory durable, from the top.
fn steps(path: &Path, is_there: impl Fn(&Path) -> bool) -> Vec<DirectoryStep<'_>> {
    let mut steps: Vec<_> = path
        .ancestors()
        .filter_map(|directory| {
            let parent = directory.parent()?;
            // The parent of a relative path of one component is where the process is.
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Some(DirectoryStep { directory, parent, is_missing: !is_there(directory) })
        })
        .collect();
    steps.reverse();
    steps
}

/// A directory of the operating system. Files have mode 0600, directories 0700.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    is_read_only: bool,
}

impl RealDisk {
    /// The directory at `root`, created when it is not there.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        create_directory(&root.join(LOST_AND_FOUND))?;
        Ok(Self { root, is_read_only: false })
    }

    /// The directory at `root`, which is there, and of which nothing is ever changed through this value.
    pub fn open_read_only(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        fs::read_dir(&root)?;
        Ok(Self { root, is_read_only: true })
    }

    /// Where the directory is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn options(&self) -> OpenOptions {
        let mut options = File::options();
        options.read(true).write(!self.is_read_only).mode(0o600);
        options
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.is_read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }
}

impl Disk for RealDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(self.options().open(self.root.join(name))?)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.check_writable()?;
        Ok(Arc::new(RealFile(self.options().create(true).truncate(true).open(self.root.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.check_writable()?;
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.check_writable()?;
        fs::remove_file(self.root.join(name))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(folder))? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn sync_dir(&self, folder: &str) -> io::Result<()> {
        File::open(self.root.join(folder))?.sync_all()
    }

    fn space(&self) -> io::Result<Option<Space>> {
        let told = rustix::fs::statvfs(&self.root)?;
        let (free, total) =
            (told.f_bavail.saturating_mul(told.f_frsize), told.f_blocks.saturating_mul(told.f_frsize));
        Ok(Some(Space { free, total }))
    }

    fn lock(&self) -> io::Result<DiskLock> {
        self.check_writable()?;
        let file = self.options().create(true).open(self.root.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_exact_at(&self, bytes: &mut [u8], position: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, position)
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_belong_to_their_owner_alone_and_a_second_lock_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path().join("journal")).unwrap();
        disk.create("a").unwrap().write_all_at(b"abc", 0).unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(disk.root().join("a")), 0o600);
        assert_eq!(mode(disk.root().to_owned()), 0o700);

        let held = disk.lock().unwrap();
        assert_eq!(disk.lock().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        disk.lock().unwrap();
    }

    #[test]
    fn the_room_that_is_left_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let space = RealDisk::open(dir.path()).unwrap().space().unwrap().unwrap();
        assert!(space.free <= space.total && space.total > 0, "{space:?}");
    }

    #[test]
    fn every_directory_on_the_way_is_synced_in_its_parent() {
        let step = |directory, parent, is_missing| DirectoryStep {
            directory: Path::new(directory),
            parent: Path::new(parent),
            is_missing,
        };
        let there = |path: &Path| path == Path::new("/") || path == Path::new("/var");
        assert_eq!(
            steps(Path::new("/var/lib/data"), there),
            [
                step("/var", "/", false),
                step("/var/lib", "/var", true),
                step("/var/lib/data", "/var/lib", true)
            ]
        );
        assert_eq!(steps(Path::new("data"), |_| false), [step("data", ".", true)]);
        assert_eq!(steps(Path::new("/"), |_| true), []);
    }

    #[test]
    fn a_directory_is_made_with_all_above_it_and_may_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        create_directory(&deep).unwrap();
        create_directory(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(dir.path().join("file"), "x").unwrap();
        create_directory(&dir.path().join("file")).unwrap_err();
        create_directory(&dir.path().join("file/below")).unwrap_err();
    }

    #[test]
    fn a_directory_that_is_only_read_is_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "abc").unwrap();
        let disk = RealDisk::open_read_only(dir.path()).unwrap();
        let file = disk.open("a").unwrap();
        assert!(file.write_all_at(b"x", 0).is_err() && file.set_len(1).is_err());
        assert!(disk.create("b").is_err() && disk.remove("a").is_err() && disk.rename("a", "b").is_err());
        assert!(disk.lock().is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(RealDisk::open_read_only(dir.path().join("none")).is_err());
    }

    #[test]
    fn names_are_listed_per_folder() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        disk.create("a").unwrap();
        disk.rename("a", "b").unwrap();
        disk.create("lost+found/c").unwrap();
        assert_eq!(disk.list("").unwrap(), ["b"]);
        assert_eq!(disk.list(LOST_AND_FOUND).unwrap(), ["c"]);
        disk.remove("b").unwrap();
        assert!(disk.list("").unwrap().is_empty());
        assert_eq!(disk.open("b").map(|_| ()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
