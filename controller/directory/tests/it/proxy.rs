//! A TCP proxy that cuts a connection after so many bytes from the server, whatever they are.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    left: Arc<AtomicUsize>,
    cut: Arc<Notify>,
    freeze: Arc<Notify>,
    listener: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Proxy {
    /// Listens on `address` and passes everything to `target`, until told otherwise.
    pub(crate) async fn start(address: &str, target: SocketAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let (shared, cut, freeze) = (
            Arc::clone(&left),
            Arc::new(Notify::new()),
            Arc::new(Notify::new()),
        );
        let (severed, frozen) = (Arc::clone(&cut), Arc::clone(&freeze));
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (left, cut, freeze) = (
                    Arc::clone(&shared),
                    Arc::clone(&severed),
                    Arc::clone(&frozen),
                );
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(target).await {
                        let mut relayed = pin!(relay(client, server, &left));
                        tokio::select! {
                            () = &mut relayed => return,
                            () = cut.notified() => return,
                            () = freeze.notified() => {}
                        }
                        // Still open, and silent.
                        cut.notified().await;
                    }
                });
            }
        });
        Self {
            address,
            left,
            cut,
            freeze,
            listener,
        }
    }

    /// From now on nothing passes over the connections there are, and neither side is told.
    pub(crate) fn freeze(&self) {
        self.freeze.notify_waiters();
    }

    /// Ends all connections there are; new ones are taken.
    pub(crate) fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// From now on so many bytes come from the server, over all connections.
    pub(crate) fn allow(&self, bytes: usize) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    /// What is left of them.
    pub(crate) fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }
}

async fn relay(client: TcpStream, server: TcpStream, left: &AtomicUsize) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async move {
        let _ = copy(&mut from_client, &mut to_server).await;
    };
    let down = async move {
        let mut buffer = [0; 4096];
        while let Ok(read) = from_server.read(&mut buffer).await {
            let before = left.load(Ordering::SeqCst);
            let passed = read.min(before);
            left.store(before - passed, Ordering::SeqCst);
            if read == 0 || to_client.write_all(&buffer[..passed]).await.is_err() || passed < read {
                break;
            }
        }
    };
    tokio::select! { () = up => {}, () = down => {} }
}
