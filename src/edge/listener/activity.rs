//! Knows what a connection is doing at this moment, so that `connection` can tell how long it may go on.
//!
//! hyper does not say whether it waits for a first byte, for the rest of a head or for nothing in particular. What it
//! does can be seen at three places: its socket, the call of the service, and the end of the answer's body. They
//! report here, into a few atomics: a request costs no lock, no timer and no look at the clock for it.
//!
//! A limit of this view: where the first bytes of a next request come in the same packet as the last bytes of a body
//! with a Content-Length, they are not seen as begun, and only the idle limit holds until another byte comes.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first byte after accept.
    FirstByte,
    /// The rest of a request's head.
    Header,
    /// The rest of a request's body.
    Body,
    /// The handler, which has been told that the body will not come.
    LateBody,
    /// The handler and its answer.
    Handler,
    /// The next request.
    Idle,
}

impl Phase {
    const ALL: [Self; 6] = [
        Self::FirstByte,
        Self::Header,
        Self::Body,
        Self::LateBody,
        Self::Handler,
        Self::Idle,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::FirstByte => "first_byte",
            Self::Header => "header",
            Self::Body | Self::LateBody => "body",
            Self::Handler => "handler",
            Self::Idle => "idle",
        }
    }
}

/// A phase and how many there were before it, in one number, so that two visits of the same phase differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Step(u64);

impl Step {
    const PHASE_BITS: u32 = 3;

    pub(super) fn phase(self) -> Phase {
        let number = self.0 & ((1 << Self::PHASE_BITS) - 1);
        usize::try_from(number)
            .ok()
            .and_then(|n| Phase::ALL.get(n))
            .copied()
            .unwrap_or(Phase::Idle)
    }

    fn next(self, phase: Phase) -> Self {
        Self((((self.0 >> Self::PHASE_BITS) + 1) << Self::PHASE_BITS) | phase as u64)
    }
}

/// Whether the client keeps an answer waiting: how often that changed, in one number; odd while it does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct WriteStep(u32);

impl WriteStep {
    pub(super) fn is_blocked(self) -> bool {
        self.0 % 2 == 1
    }
}

/// The request's body has a Content-Length, so its last bytes look like anything.
const COUNTED: u8 = 1;
/// Bytes came after the request was complete.
const AHEAD: u8 = 1 << 1;
/// The body's time is over.
const LATE: u8 = 1 << 2;
/// The handler has been told so.
const TOLD: u8 = 1 << 3;
/// The handler left some of the body unread.
const UNREAD: u8 = 1 << 4;

/// What one connection is doing. Written by its own task, except that a body may be read and dropped elsewhere.
pub(super) struct Activity {
    step: AtomicU64,
    write: AtomicU32,
    flags: AtomicU8,
    /// The last three bytes received: enough to see the end of a head.
    tail: AtomicU32,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            step: AtomicU64::new(Phase::FirstByte as u64),
            write: AtomicU32::new(0),
            flags: AtomicU8::new(0),
            tail: AtomicU32::new(0),
        }
    }

    pub(super) fn step(&self) -> Step {
        Step(self.step.load(Relaxed))
    }

    pub(super) fn write_step(&self) -> WriteStep {
        WriteStep(self.write.load(Relaxed))
    }

    fn enter(&self, phase: Phase) {
        self.step.store(self.step().next(phase).0, Relaxed);
    }

    fn has(&self, flag: u8) -> bool {
        self.flags.load(Relaxed) & flag != 0
    }

    fn set(&self, flag: u8) {
        self.flags.fetch_or(flag, Relaxed);
    }

    fn received(&self, bytes: &[u8]) {
        let last = bytes.get(bytes.len().saturating_sub(3)..).unwrap_or(bytes);
        let tail = last
            .iter()
            .fold(self.tail.load(Relaxed), |tail, byte| tail << 8 | u32::from(*byte));
        self.tail.store(tail & 0x00ff_ffff, Relaxed);
        match self.step().phase() {
            Phase::FirstByte | Phase::Idle => self.enter(Phase::Header),
            Phase::Handler => self.set(AHEAD),
            Phase::Header | Phase::Body | Phase::LateBody => {}
        }
    }

    /// Heads, and chunked bodies too, end in an empty line.
    fn ends_in_empty_line(&self) -> bool {
        let [_, a, b, c] = self.tail.load(Relaxed).to_be_bytes();
        matches!((a, b, c), (b'\n', b'\r', b'\n') | (_, b'\n', b'\n'))
    }

    /// A request's head is complete.
    pub(super) fn begin(self: &Arc<Self>, body: Incoming) -> Body {
        if body.is_end_stream() {
            self.flags.store(0, Relaxed);
            self.enter(Phase::Handler);
            return Body::empty();
        }
        self.flags.store(
            if body.size_hint().exact().is_some() {
                COUNTED
            } else {
                0
            },
            Relaxed,
        );
        self.enter(Phase::Body);
        Body::new(TimedBody {
            inner: body,
            activity: Arc::clone(self),
            during: self.step(),
            ended: false,
        })
    }

    /// The answer is in hyper's hands, all of it.
    fn answered(&self) {
        let whole = self.ends_in_empty_line() || (self.has(COUNTED) && !self.has(AHEAD));
        self.enter(if whole { Phase::Idle } else { Phase::Header });
    }

    /// The body's time is over: whoever reads it gets an error.
    pub(super) fn expire_body(&self) {
        self.set(LATE);
        self.enter(Phase::LateBody);
    }

    pub(super) fn body_timed_out(&self) -> bool {
        self.has(TOLD)
    }

    pub(super) fn body_left_unread(&self) -> bool {
        self.has(UNREAD)
    }

    fn wrote(&self, blocked: bool) {
        let step = self.write_step();
        if step.is_blocked() || blocked {
            // Back to even when bytes went out; on to the next odd number when they did and more must wait.
            let next = if step.is_blocked() == blocked {
                step.0
            } else {
                step.0.wrapping_add(1)
            };
            self.write.store(next, Relaxed);
        }
    }
}

/// The rest of a request's body did not come in time. The listener answers 408 unless the router does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyTimedOut;

impl fmt::Display for BodyTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request's body did not arrive in time")
    }
}

impl Error for BodyTimedOut {}

/// A request's body that ends in [`BodyTimedOut`] when its time is over. It has no timer: the connection's task does
/// the waiting and polls the handler again.
struct TimedBody {
    inner: Incoming,
    activity: Arc<Activity>,
    during: Step,
    ended: bool,
}

impl TimedBody {
    fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            // Only if the connection has not moved on: this body may be held longer than its request lasts.
            let handler = self.during.next(Phase::Handler);
            let _ = self
                .activity
                .step
                .compare_exchange(self.during.0, handler.0, Relaxed, Relaxed);
        }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending if self.activity.has(LATE) => {
                self.activity.set(TOLD);
                Poll::Ready(Some(Err(BodyTimedOut.into())))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(frame) => {
                if self.inner.is_end_stream() || frame.is_none() {
                    self.end();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for TimedBody {
    fn drop(&mut self) {
        if !self.ended {
            self.activity.set(UNREAD);
            self.end();
        }
    }
}

/// An answer's body that reports when it is done with: hyper drops it after the last frame.
pub(super) struct Answer {
    pub(super) inner: Body,
    pub(super) activity: Arc<Activity>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.activity.answered();
    }
}

/// The socket, which reports what comes in and whether answers go out.
pub(super) struct Watched {
    pub(super) stream: TcpStream,
    pub(super) activity: Arc<Activity>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        match buf.filled().get(before..) {
            None | Some([]) => {}
            Some(bytes) => self.activity.received(bytes),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.activity.wrote(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.activity.wrote(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
