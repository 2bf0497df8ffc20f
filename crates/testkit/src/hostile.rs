//! A server that answers in the ways that cost the one who asks: without end, swollen, a byte at a time, from elsewhere.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use flate2::{Compress, Compression, FlushCompress};

/// How it answers every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// A body without an end, as fast as it is taken.
    Endless,
    /// The same, a thousandth of it on the wire.
    GzipBomb,
    /// A byte of the body each second.
    Trickle,
    /// A byte of the head each second.
    TrickledHead,
    /// Headers without an end.
    EndlessHeaders,
    /// One header without an end.
    EndlessHeader,
    /// To another place.
    Redirect(String),
    /// Half a megabyte of opening brackets.
    DeepJson,
    /// Nothing at all.
    Silence,
}

impl Manner {
    /// Each of them; redirects lead to `elsewhere`.
    pub fn all(elsewhere: &str) -> Vec<Self> {
        vec![
            Self::Endless,
            Self::GzipBomb,
            Self::Trickle,
            Self::TrickledHead,
            Self::EndlessHeaders,
            Self::EndlessHeader,
            Self::Redirect(elsewhere.to_owned()),
            Self::DeepJson,
            Self::Silence,
        ]
    }
}

/// The server. It ends when it is dropped.
pub struct HostileServer {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl HostileServer {
    /// Starts one on a free port of loopback.
    pub fn start(manner: Manner) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let server = Self {
            address: listener.local_addr()?,
            asked: Arc::default(),
            stopped: Arc::default(),
        };
        let (asked, stopped) = (Arc::clone(&server.asked), Arc::clone(&server.stopped));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                asked.fetch_add(1, Ordering::Relaxed);
                let (manner, stopped) = (manner.clone(), Arc::clone(&stopped));
                thread::spawn(move || answer(stream, &manner, &stopped));
            }
        });
        Ok(server)
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were made to it.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for HostileServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // The listener waits for a connection.
        drop(TcpStream::connect(self.address));
    }
}

/// Ends when whoever asked has had enough.
fn answer(mut stream: TcpStream, manner: &Manner, stopped: &AtomicBool) -> Option<()> {
    // The beginning of the request is enough: no answer depends on it.
    let _ = stream.read(&mut [0; 64 * 1024]).ok()?;
    let mut send = |bytes: &[u8]| {
        let wanted = !stopped.load(Ordering::Relaxed) && stream.write_all(bytes).is_ok();
        wanted.then_some(())
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    match manner {
        Manner::Endless => {
            send(format!("{head}connection: close\r\n\r\n").as_bytes())?;
            loop {
                send(&[b' '; 64 * 1024])?;
            }
        }
        Manner::GzipBomb => {
            send(format!("{head}content-encoding: gzip\r\nconnection: close\r\n\r\n").as_bytes())?;
            send(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])?;
            let spaces = compressed_spaces();
            loop {
                send(&spaces)?;
            }
        }
        Manner::Trickle => {
            send(format!("{head}connection: close\r\n\r\n").as_bytes())?;
            loop {
                send(b" ")?;
                thread::sleep(Duration::from_secs(1));
            }
        }
        Manner::TrickledHead => {
            for byte in head.as_bytes() {
                send(&[*byte])?;
                thread::sleep(Duration::from_secs(1));
            }
        }
        Manner::EndlessHeaders => {
            send(head.as_bytes())?;
            loop {
                send(&b"x-more: and more\r\n".repeat(1_024))?;
            }
        }
        Manner::EndlessHeader => {
            send(head.as_bytes())?;
            send(b"x-more: ")?;
            loop {
                send(&[b'y'; 64 * 1024])?;
            }
        }
        Manner::Redirect(elsewhere) => {
            send(format!("HTTP/1.1 307 Moved\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n").as_bytes())?;
        }
        Manner::DeepJson => {
            let body = [b'['; 512 * 1024];
            send(format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes())?;
            send(&body)?;
        }
        Manner::Silence => {
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
    Some(())
}

/// A megabyte of spaces as a piece of a deflate stream that may stand in it any number of times.
fn compressed_spaces() -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut piece = Vec::with_capacity(64 * 1024);
    let done = compress.compress_vec(&vec![b' '; 1 << 20], &mut piece, FlushCompress::Full);
    debug_assert!(done.is_ok() && compress.total_in() == 1 << 20);
    piece
}

/// The most memory this process ever had, in MiB (proc(5), `VmHWM`).
pub fn most_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}
