//! A connection whose other end does nothing: nothing sent at the beginning, nothing taken of an answer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Ends a connection by an error when the first byte does not come within `first_read`, or when the other end takes
/// nothing of what is to be written for `write`. Idle times in between are none of its business.
#[derive(Debug)]
pub(super) struct Stall<T> {
    inner: T,
    first_read: Option<Pin<Box<Sleep>>>,
    write: Duration,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<T> Stall<T> {
    pub(super) fn new(inner: T, first_read: Duration, write: Duration) -> Self {
        Self { inner, first_read: Some(Box::pin(sleep(first_read))), write, writing: None }
    }

    /// The outcome of a write, unless that has been waiting for too long.
    fn watch<R>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if outcome.is_ready() {
            self.writing = None;
            return outcome;
        }
        let limit = self.write;
        let timer = self.writing.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of the answer")))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stall<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_read(context, buffer);
        if outcome.is_ready() {
            self.first_read = None;
        } else if let Some(timer) = &mut self.first_read {
            ready!(timer.as_mut().poll(context));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client sends nothing")));
        }
        outcome
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stall<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watch(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.watch(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(context);
        self.watch(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_shutdown(context);
        self.watch(context, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;

    const FIRST: Duration = Duration::from_secs(20);
    const WRITE: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn silence_at_the_beginning_ends_the_connection() {
        let (_client, server) = duplex(16);
        let begun = Instant::now();
        let error = Stall::new(server, FIRST, WRITE).read_u8().await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, FIRST));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_later_is_fine() {
        let (mut client, server) = duplex(16);
        let mut server = Stall::new(server, FIRST, WRITE);
        client.write_all(b"a").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'a');
        let (read, ()) = tokio::join!(server.read_u8(), async {
            sleep(100 * FIRST).await;
            client.write_all(b"b").await.unwrap();
        });
        assert_eq!(read.unwrap(), b'b');
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_dropped_and_a_slow_one_is_not() {
        let (mut client, server) = duplex(1);
        let mut server = Stall::new(server, FIRST, WRITE);
        let (written, ()) = tokio::join!(server.write_all(b"abcd"), async {
            for _ in 0..4 {
                sleep(Duration::from_secs(59)).await;
                client.read_u8().await.unwrap();
            }
        });
        written.unwrap();
        let begun = Instant::now();
        server.write_all(b"e").await.unwrap();
        let error = server.write_all(b"f").await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, WRITE));
    }
}
