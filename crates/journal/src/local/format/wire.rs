//! Little-endian fields and trailing checksums.

use base::Timestamp;
use event::Stream;

use super::FormatError;
use crate::retention::PerStream;

/// Reads fields one after another.
pub(in crate::local) struct Fields<'a>(pub(in crate::local) &'a [u8]);

/// The largest count that is read.
pub(in crate::local) const MAX_COUNT: u64 = 1 << 56;

impl<'a> Fields<'a> {
    pub(in crate::local) fn take(&mut self, n: usize) -> Result<&'a [u8], FormatError> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(FormatError::Malformed("cut short"))?;
        self.0 = tail;
        Ok(head)
    }

    pub(in crate::local) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        self.take(N)?.try_into().map_err(|_| FormatError::Malformed("cut short"))
    }

    pub(in crate::local) fn u8(&mut self) -> Result<u8, FormatError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(in crate::local) fn u16(&mut self) -> Result<u16, FormatError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(in crate::local) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(in crate::local) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A segment's number or a block's sequence: from 1, so far below the end of numbers that the next ones exist.
    pub(in crate::local) fn number(&mut self) -> Result<u64, FormatError> {
        let number = self.u64()?;
        let fits = (1..=u64::MAX / 2).contains(&number);
        if fits { Ok(number) } else { Err(FormatError::Malformed("a number is out of range")) }
    }

    /// Events or bytes that were counted: so far below the end of numbers that sums of a few of them are numbers, too.
    pub(in crate::local) fn count(&mut self) -> Result<u64, FormatError> {
        let count = self.u64()?;
        if count <= MAX_COUNT { Ok(count) } else { Err(FormatError::Malformed("a count is out of range")) }
    }

    pub(in crate::local) fn time(&mut self) -> Result<Timestamp, FormatError> {
        let ms = self.array().map(i64::from_le_bytes)?;
        Timestamp::from_millis(ms).map_err(|_| FormatError::Malformed("a time is out of range"))
    }

    pub(in crate::local) fn per_stream(&mut self) -> Result<PerStream, FormatError> {
        let mut counts = PerStream::default();
        for count in &mut counts {
            *count = self.count()?;
        }
        Ok(counts)
    }
}

/// Appends fields one after another.
pub(in crate::local) trait Put {
    fn put(&mut self, bytes: &[u8]);

    fn put_u16(&mut self, n: u16) {
        self.put(&n.to_le_bytes());
    }

    fn put_u32(&mut self, n: u32) {
        self.put(&n.to_le_bytes());
    }

    fn put_u64(&mut self, n: u64) {
        self.put(&n.to_le_bytes());
    }

    fn put_time(&mut self, time: Timestamp) {
        self.put(&time.as_millis().to_le_bytes());
    }

    fn put_per_stream(&mut self, counts: &PerStream) {
        for count in counts {
            self.put_u64(*count);
        }
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Appends the CRC-32C of everything in `bytes`.
pub(in crate::local) fn seal(bytes: &mut Vec<u8>) {
    bytes.put_u32(crc32c::crc32c(bytes));
}

/// The bytes before a trailing CRC-32C that fits them.
pub(in crate::local) fn unseal(bytes: &[u8]) -> Result<&[u8], FormatError> {
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or(FormatError::Malformed("cut short"))?;
    if crc32c::crc32c(body) == u32::from_le_bytes(*sum) {
        Ok(body)
    } else {
        Err(FormatError::Malformed("the checksum does not fit"))
    }
}

/// The count of one stream.
pub(in crate::local) fn of(counts: &PerStream, stream: Stream) -> u64 {
    counts.get(stream as usize - 1).copied().unwrap_or(0)
}

/// Adds to the count of one stream.
pub(in crate::local) fn add(counts: &mut PerStream, stream: Stream, n: u64) {
    if let Some(count) = counts.get_mut(stream as usize - 1) {
        *count = count.saturating_add(n);
    }
}
