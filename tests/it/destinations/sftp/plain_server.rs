//! An SSH server that checks passwords and has SFTP without the extensions of OpenSSH.
//!
//! OpenSSH checks passwords of system accounts only, and always has its extensions.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Response, Session};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use russh_sftp::extensions::Statvfs;
use russh_sftp::protocol::{
    Attrs, Data, ExtendedReply, FileAttributes, Handle, Name, OpenFlags, Packet, Status, StatusCode, Version,
};
use tokio::net::TcpListener;

use super::Login;

/// The password of the user `partner`.
pub const PASSWORD: &str = "correct horse battery";

/// How the server asks for a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Password {
    /// By the method `password`.
    Method,
    /// By a prompt (`keyboard-interactive`) alone.
    Prompt,
}

/// The space for files.
#[derive(Clone, Copy, Debug)]
pub enum Disk {
    /// As much as the disk has; the server has no extension that tells.
    Unlimited,
    /// This many bytes, which `statvfs@openssh.com` tells.
    Bytes(u64),
}

/// A running server.
pub struct PlainServer {
    directory: tempfile::TempDir,
    port: u16,
    host_key: String,
}

impl PlainServer {
    /// Starts a server on a new directory.
    pub async fn start(password: Password, disk: Disk) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).expect("a key");
        let host_key = key.fingerprint(HashAlg::Sha256).to_string();
        let method = if password == Password::Prompt { MethodKind::KeyboardInteractive } else { MethodKind::Password };
        let config = Arc::new(Config {
            // With another method, so that the connection stays open after a wrong password.
            methods: MethodSet::from(&[method, MethodKind::PublicKey][..]),
            auth_rejection_time: Duration::ZERO,
            keys: vec![key],
            ..Config::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let root = directory.path().to_owned();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let files = Files { root: root.clone(), disk, used: Arc::default(), open: HashMap::new(), next: 0 };
                let connection = Connection { files: Some(files), channel: None };
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    if let Ok(session) = russh::server::run_stream(config, stream, connection).await {
                        let _ = session.await;
                    }
                });
            }
        });
        Self { directory, port, host_key }
    }

    /// The directory that it serves.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A login with the right password.
    pub fn login(&self) -> Login {
        let login = Login {
            port: self.port,
            username: "partner".to_owned(),
            directory: ".".to_owned(),
            host_key: self.host_key.clone(),
            method: "",
            fields: Vec::new(),
        };
        login.password(PASSWORD)
    }
}

struct Connection {
    files: Option<Files>,
    channel: Option<Channel<Msg>>,
}

fn verdict(is_right: bool) -> Auth {
    if is_right { Auth::Accept } else { Auth::reject() }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let is_right = user == "partner" && password == PASSWORD;
        Ok(verdict(is_right))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Some(mut response) = response else {
            let prompts = vec![("Password: ".into(), false)].into();
            return Ok(Auth::Partial { name: "".into(), instructions: "".into(), prompts });
        };
        Ok(verdict(user == "partner" && response.next().is_some_and(|answer| answer == PASSWORD.as_bytes())))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channel = Some(channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(&mut self, id: ChannelId, _: &str, session: &mut Session) -> Result<(), Self::Error> {
        let (channel, files) = (self.channel.take().expect("a channel"), self.files.take().expect("one subsystem"));
        session.channel_success(id)?;
        russh_sftp::server::run(channel.into_stream(), files).await;
        Ok(())
    }
}

struct Files {
    root: std::path::PathBuf,
    disk: Disk,
    used: Arc<AtomicU64>,
    open: HashMap<String, OpenFile>,
    next: u32,
}

enum OpenFile {
    File(File),
    Folder(Vec<russh_sftp::protocol::File>),
}

impl Files {
    fn path(&self, path: &str) -> std::path::PathBuf {
        self.root.join(path)
    }

    fn add(&mut self, id: u32, open: OpenFile) -> Handle {
        self.next += 1;
        let handle = self.next.to_string();
        self.open.insert(handle.clone(), open);
        Handle { id, handle }
    }

    fn file(&self, handle: &str) -> Result<&File, StatusCode> {
        match self.open.get(handle) {
            Some(OpenFile::File(file)) => Ok(file),
            Some(OpenFile::Folder(_)) | None => Err(StatusCode::Failure),
        }
    }

    fn free(&self) -> u64 {
        match self.disk {
            Disk::Unlimited => u64::MAX,
            Disk::Bytes(bytes) => bytes.saturating_sub(self.used.load(Ordering::Relaxed)),
        }
    }
}

fn failed(error: &io::Error) -> StatusCode {
    match error.kind() {
        io::ErrorKind::NotFound => StatusCode::NoSuchFile,
        io::ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
        _ => StatusCode::Failure,
    }
}

fn done(id: u32, result: io::Result<()>) -> Result<Status, StatusCode> {
    result.map_err(|error| failed(&error))?;
    Ok(Status { id, status_code: StatusCode::Ok, error_message: "Ok".to_owned(), language_tag: "en".to_owned() })
}

impl russh_sftp::server::Handler for Files {
    type Error = StatusCode;

    fn unimplemented(&self) -> StatusCode {
        StatusCode::OpUnsupported
    }

    async fn init(&mut self, _: u32, _: HashMap<String, String>) -> Result<Version, StatusCode> {
        let mut version = Version::new();
        if matches!(self.disk, Disk::Bytes(_)) {
            version.extensions.insert("statvfs@openssh.com".to_owned(), "2".to_owned());
        }
        Ok(version)
    }

    async fn open(&mut self, id: u32, path: String, flags: OpenFlags, _: FileAttributes) -> Result<Handle, StatusCode> {
        let file = OpenOptions::from(flags).open(self.path(&path)).map_err(|error| failed(&error))?;
        Ok(self.add(id, OpenFile::File(file)))
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusCode> {
        self.open.remove(&handle);
        done(id, Ok(()))
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Result<Data, StatusCode> {
        let mut data = vec![0; len as usize];
        let read = self.file(&handle)?.read_at(&mut data, offset).map_err(|error| failed(&error))?;
        data.truncate(read);
        if data.is_empty() { Err(StatusCode::Eof) } else { Ok(Data { id, data }) }
    }

    async fn write(&mut self, id: u32, handle: String, offset: u64, data: Vec<u8>) -> Result<Status, StatusCode> {
        if self.free() < data.len() as u64 {
            self.used.store(u64::MAX, Ordering::Relaxed);
            return Err(StatusCode::Failure);
        }
        self.used.fetch_add(data.len() as u64, Ordering::Relaxed);
        done(id, self.file(&handle)?.write_all_at(&data, offset))
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusCode> {
        let found = fs::metadata(self.path(&path)).map_err(|error| failed(&error))?;
        Ok(Attrs { id, attrs: FileAttributes::from(&found) })
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusCode> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let attributes = FileAttributes::from(&entry.metadata()?);
            Ok(russh_sftp::protocol::File::new(entry.file_name().to_string_lossy(), attributes))
        };
        let entries: io::Result<_> = fs::read_dir(self.path(&path)).and_then(|entries| entries.map(entry).collect());
        Ok(self.add(id, OpenFile::Folder(entries.map_err(|error| failed(&error))?)))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusCode> {
        match self.open.get_mut(&handle) {
            Some(OpenFile::Folder(entries)) if !entries.is_empty() => Ok(Name { id, files: std::mem::take(entries) }),
            Some(OpenFile::Folder(_)) => Err(StatusCode::Eof),
            Some(OpenFile::File(_)) | None => Err(StatusCode::Failure),
        }
    }

    async fn remove(&mut self, id: u32, path: String) -> Result<Status, StatusCode> {
        done(id, fs::remove_file(self.path(&path)))
    }

    async fn mkdir(&mut self, id: u32, path: String, _: FileAttributes) -> Result<Status, StatusCode> {
        done(id, fs::create_dir(self.path(&path)))
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Result<Status, StatusCode> {
        done(id, fs::remove_dir(self.path(&path)))
    }

    async fn rename(&mut self, id: u32, from: String, to: String) -> Result<Status, StatusCode> {
        // As the protocol says: a file is not replaced.
        let (from, to) = (self.path(&from), self.path(&to));
        done(id, fs::hard_link(&from, to).and_then(|()| fs::remove_file(from)))
    }

    async fn extended(&mut self, id: u32, request: String, _: Vec<u8>) -> Result<Packet, StatusCode> {
        if request != "statvfs@openssh.com" {
            return Err(StatusCode::OpUnsupported);
        }
        let blocks = self.free();
        let found = Statvfs {
            block_size: 1,
            fragment_size: 1,
            blocks,
            blocks_free: blocks,
            blocks_avail: blocks,
            inodes: 0,
            inodes_free: 0,
            inodes_avail: 0,
            fs_id: 0,
            flags: 0,
            name_max: 255,
        };
        let data = russh_sftp::ser::to_bytes(&found).map_err(|_| StatusCode::Failure)?.to_vec();
        Ok(Packet::ExtendedReply(ExtendedReply { id, data }))
    }
}
