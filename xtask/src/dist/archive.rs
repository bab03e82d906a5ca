//! Archives that depend on nothing but what is in them: one fixed time, one owner, the order of the entries. What goes
//! in is decided elsewhere.

use std::io::{self, Write};

use anyhow::{Result, ensure};
use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};

/// 1980-01-01, the earliest that a zip file can say, in seconds since 1970.
const TIME: u64 = 315_532_800;
/// The same as a date of DOS; its time is 0.
const DOS_DATE: u16 = 1 << 5 | 1;
/// The version that writes and the version that reads: 2.0, on Unix where there are permissions.
const ZIP_MADE_BY: u16 = 3 << 8 | 20;
const ZIP_NEEDED: u16 = 20;
const DEFLATED: u16 = 8;

/// A file in an archive.
pub struct Entry {
    /// Its path, with `/`.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Whether it may be run.
    pub executable: bool,
}

impl Entry {
    fn mode(&self) -> u32 {
        if self.executable { 0o755 } else { 0o644 }
    }
}

/// A gzipped tar file (ustar).
///
/// # Errors
/// A name of more than 100 bytes.
pub fn tar_gz(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    for entry in entries {
        gzip.write_all(&tar_header(entry)?)?;
        gzip.write_all(&entry.bytes)?;
        let padding = entry.bytes.len().next_multiple_of(512) - entry.bytes.len();
        gzip.write_all(&[0; 512][..padding])?;
    }
    gzip.write_all(&[0; 1024])?;
    Ok(gzip.finish()?)
}

fn tar_header(entry: &Entry) -> Result<[u8; 512]> {
    ensure!(entry.name.len() <= 100, "{}: is too long a name for an archive", entry.name);
    let mut header = [0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, &entry.name);
    put(100, &format!("{:07o}", entry.mode()));
    put(108, &format!("{:07o}", 0));
    put(116, &format!("{:07o}", 0));
    put(124, &format!("{:011o}", entry.bytes.len()));
    put(136, &format!("{TIME:011o}"));
    put(148, "        "); // the checksum counts itself as spaces
    put(156, "0");
    put(257, "ustar\x0000");
    let checksum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{checksum:06o}\0").as_bytes());
    Ok(header)
}

/// A zip file of deflated entries.
///
/// # Errors
/// More than a zip file of 32 bits holds.
pub fn zip(entries: &[Entry]) -> Result<Vec<u8>> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let deflated = deflate(&entry.bytes)?;
        let mut crc = Crc::new();
        crc.update(&entry.bytes);
        let mut described = Vec::new();
        for field in [ZIP_NEEDED, 0, DEFLATED, 0, DOS_DATE] {
            described.extend(field.to_le_bytes());
        }
        described.extend(crc.sum().to_le_bytes());
        described.extend(u32::try_from(deflated.len())?.to_le_bytes());
        described.extend(u32::try_from(entry.bytes.len())?.to_le_bytes());
        described.extend(u16::try_from(entry.name.len())?.to_le_bytes());
        described.extend(0u16.to_le_bytes()); // no extra fields

        let offset = u32::try_from(archive.len())?;
        archive.extend(b"PK\x03\x04");
        archive.extend(&described);
        archive.extend(entry.name.bytes());
        archive.extend(&deflated);

        directory.extend(b"PK\x01\x02");
        directory.extend(ZIP_MADE_BY.to_le_bytes());
        directory.extend(&described);
        directory.extend([0; 6]); // no comment, first disk, binary
        directory.extend((entry.mode() << 16 | 0o100_000 << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(entry.name.bytes());
    }
    let (start, count) = (u32::try_from(archive.len())?, u16::try_from(entries.len())?);
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend(count.to_le_bytes());
    archive.extend(count.to_le_bytes());
    archive.extend(u32::try_from(directory.len())?.to_le_bytes());
    archive.extend(start.to_le_bytes());
    archive.extend(0u16.to_le_bytes());
    Ok(archive)
}

fn deflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::{folders, process};

    fn entries() -> Vec<Entry> {
        let entry = |name: &str, bytes: &[u8], executable| Entry {
            name: name.into(),
            bytes: bytes.into(),
            executable,
        };
        let noise: Vec<u8> = (0..70_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        vec![
            entry("a/empty", b"", false),
            entry("a/exactly one block", &[7; 512], false),
            entry("a/folder/noise", &noise, false),
            entry("a/program", b"#!/bin/sh\n", true),
        ]
    }

    /// Unpacked by a program that knows nothing of this one, each file is what went in.
    fn check(archive: &[u8], name: &str, unpack: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), archive).unwrap();
        process::run(Command::new(unpack[0]).args(&unpack[1..]).arg(name).current_dir(&folder)).unwrap();
        fs::remove_file(folder.path().join(name)).unwrap();
        let entries = entries();
        let names: Vec<_> = entries.iter().map(|entry| Path::new(&entry.name)).collect();
        assert_eq!(folders::files(folder.path()).unwrap(), names);
        for entry in &entries {
            assert!(fs::read(folder.path().join(&entry.name)).unwrap() == entry.bytes, "{}", entry.name);
        }
    }

    #[cfg(unix)]
    #[test]
    fn tar_unpacks_what_went_in_with_its_permissions() {
        let archive = tar_gz(&entries()).unwrap();
        check(&archive, "a.tar.gz", &["tar", "-xzf"]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tar.gz");
        fs::write(&file, &archive).unwrap();
        let listed = process::output(Command::new("tar").arg("-tvzf").arg(&file)).unwrap();
        let modes: Vec<&str> = listed.lines().map(|line| &line[..10]).collect();
        assert_eq!(modes, ["-rw-r--r--", "-rw-r--r--", "-rw-r--r--", "-rwxr-xr-x"]);
    }

    #[test]
    fn python_unpacks_the_zip_file_that_went_in() {
        let archive = zip(&entries()).unwrap();
        // -t reads every checksum, -e unpacks.
        let script = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); sys.exit(z.testzip() and 1 or z.extractall())";
        check(&archive, "a.zip", &[if cfg!(windows) { "python" } else { "python3" }, "-c", script]);
    }

    #[test]
    fn a_name_that_is_too_long_is_an_error() {
        let entry = Entry { name: "a".repeat(101), bytes: Vec::new(), executable: false };
        assert!(tar_gz(&[entry]).unwrap_err().to_string().contains("too long"));
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        assert!(tar_gz(&entries()).unwrap() == tar_gz(&entries()).unwrap());
        assert!(zip(&entries()).unwrap() == zip(&entries()).unwrap());
    }
}
