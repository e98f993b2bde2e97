package inaetics.remote;

import inaetics.basics.Tls;
import java.io.Closeable;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import org.osgi.framework.ServiceException;

/**
 * Another framework, as a caller sees it: one connection, made at the first call and again after it ended.
 *
 * <p>A call is sent a second time only when the first cannot have arrived whole. Safe from any thread.
 */
public final class Peer implements Closeable {
    /** What a provider shows of an endpoint. */
    public enum Presence { EXPORTED, WITHDRAWN, DEAD, SILENT }

    private static final int CONNECT_MS = 3000;

    private final String address;
    private final int port;
    private final String framework;
    private final String me;
    private final Tls tls;
    private final Runnable gone;
    private final AtomicLong ids = new AtomicLong();
    private volatile Connection connection;
    private volatile boolean closed;

    /** {@code gone} is told when a connection broke or was refused. */
    public Peer(String address, int port, String framework, String me, Tls tls, Runnable gone) {
        this.address = address;
        this.port = port;
        this.framework = framework;
        this.me = me;
        this.tls = tls;
        this.gone = gone;
    }

    /** Where it is, for messages. */
    public String where() {
        return address + ":" + port;
    }

    /**
     * Calls and returns the answer. Throws what {@link Errors} makes of a failure there, and {@link ServiceException}
     * when there is no answer within {@code withinMs}.
     */
    public Object call(String endpoint, String method, List<?> args, long withinMs) {
        long end = System.nanoTime() + withinMs * 1_000_000L;
        long id = ids.incrementAndGet();
        byte[] frame;
        try {
            frame = new Frame.Call(id, endpoint, method, args, Map.of(), Math.max(withinMs, 1)).encode();
        } catch (Msgpack.Malformed error) {
            throw new IllegalArgumentException("cannot call " + method + ": " + error.getMessage(), error);
        }
        try {
            Frame reply = exchange(id, frame, end);
            if (reply instanceof Frame.Answer answer) {
                return answer.value();
            }
            throw Errors.thrown((Frame.Failure) reply, method, where());
        } catch (NotSent error) {
            throw Errors.unreachable(method, where(), error.getMessage() + " (it was not carried out)");
        } catch (TimeoutException late) {
            throw Errors.unreachable(method, where(), "no answer within " + withinMs + " ms (it may still be at it)");
        } catch (IOException error) {
            throw Errors.unreachable(method, where(), error.getMessage() + " (nobody knows whether it was carried out)");
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw Errors.unreachable(method, where(), "the caller was interrupted");
        }
    }

    /** Asks whether {@code endpoint} is exported there. Throws nothing. */
    public Presence probe(String endpoint, long withinMs) {
        long id = ids.incrementAndGet();
        try {
            byte[] frame = new Frame.Ping(id, endpoint).encode();
            Frame reply = exchange(id, frame, System.nanoTime() + withinMs * 1_000_000L);
            boolean there = reply instanceof Frame.Answer answer && Boolean.TRUE.equals(answer.value());
            return there ? Presence.EXPORTED : Presence.WITHDRAWN;
        } catch (Refused error) {
            return Presence.DEAD;
        } catch (IOException | TimeoutException error) {
            return Presence.SILENT;
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            return Presence.SILENT;
        }
    }

    @Override
    public void close() {
        closed = true;
        Connection last = connection;
        if (last != null) {
            last.link.close();
        }
    }

    private Frame exchange(long id, byte[] frame, long end) throws IOException, TimeoutException, InterruptedException {
        Connection used = connect(end);
        CompletableFuture<Frame> reply;
        try {
            reply = used.send(id, frame, end);
        } catch (NotSent stale) {
            used = connect(end);
            reply = used.send(id, frame, end);
        }
        try {
            return reply.get(Math.max(end - System.nanoTime(), 0), TimeUnit.NANOSECONDS);
        } catch (ExecutionException error) {
            throw new IOException(error.getCause().getMessage(), error.getCause());
        } catch (TimeoutException | InterruptedException error) {
            used.giveUp(id);
            throw error;
        }
    }

    private Connection connect(long end) throws NotSent {
        Connection there = connection;
        if (there != null && !there.link.isClosed()) {
            return there;
        }
        synchronized (this) {
            if (closed) {
                throw new NotSent("it is not imported any more", null);
            }
            if (connection == null || connection.link.isClosed()) {
                long left = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
                connection = connected((int) Math.max(1, Math.min(CONNECT_MS, left)));
            }
            return connection;
        }
    }

    private Connection connected(int withinMs) throws NotSent {
        Socket wire = new Socket();
        try {
            wire.connect(new InetSocketAddress(address, port), withinMs);
            Link link = new Link(wire, tls == null ? null : tls.context(), true, address, withinMs);
            Frame.Hello hello = link.greet(me);
            if (!hello.framework().equals(framework)) {
                throw new ConnectException("the port belongs to another agent now");
            }
            return new Connection(link, hello.window());
        } catch (IOException error) {
            try {
                wire.close();
            } catch (IOException gone) {
                // it is closed all the same
            }
            if (error instanceof ConnectException) {
                gone.run();
                throw new Refused(error);
            }
            throw new NotSent(String.valueOf(error.getMessage()), error);
        }
    }

    /** Nothing can have arrived there. */
    private static class NotSent extends IOException {
        private static final long serialVersionUID = 1;

        NotSent(String message, Throwable cause) {
            super(message, cause);
        }
    }

    /** Nobody listens there, or somebody else. */
    private static final class Refused extends NotSent {
        private static final long serialVersionUID = 1;

        Refused(IOException cause) {
            super(cause.getMessage(), cause);
        }
    }

    private final class Connection {
        final Link link;
        private final Semaphore window;
        private final Map<Long, CompletableFuture<Frame>> waiting = new ConcurrentHashMap<>();

        Connection(Link link, long window) {
            this.link = link;
            this.window = new Semaphore((int) Math.max(1, Math.min(window, 1 << 20)));
            Thread reader = new Thread(this::read, "remote answers of " + where());
            reader.setDaemon(true);
            reader.start();
        }

        CompletableFuture<Frame> send(long id, byte[] frame, long end) throws IOException, TimeoutException, InterruptedException {
            if (!window.tryAcquire(Math.max(end - System.nanoTime(), 0), TimeUnit.NANOSECONDS)) {
                throw new NotSent("it has as many calls of ours as it takes", null);
            }
            CompletableFuture<Frame> reply = new CompletableFuture<>();
            waiting.put(id, reply);
            try {
                if (link.isClosed()) {
                    throw new IOException("the connection ended");
                }
                link.send(frame);
            } catch (IOException error) {
                link.close();
                waiting.remove(id);
                throw new NotSent(error.getMessage(), error);
            }
            if (link.isClosed()) { // it may have ended before it was waited for
                end(new IOException("the connection ended"));
            }
            return reply;
        }

        /** Nobody waits any more; its place in the window stays taken until the answer comes. */
        void giveUp(long id) {
            try {
                link.send(new Frame.Cancel(id));
            } catch (IOException error) {
                link.close();
            }
        }

        private void read() {
            try {
                while (true) {
                    Frame frame = link.receive();
                    long id = frame instanceof Frame.Answer answer ? answer.id()
                            : frame instanceof Frame.Failure failure ? failure.id() : -1;
                    CompletableFuture<Frame> reply = waiting.remove(id);
                    if (reply != null) {
                        window.release();
                        reply.complete(frame);
                    }
                }
            } catch (IOException error) {
                link.close();
                end(error);
                if (!closed) {
                    gone.run();
                }
            }
        }

        private void end(IOException error) {
            for (Long id : List.copyOf(waiting.keySet())) {
                CompletableFuture<Frame> reply = waiting.remove(id);
                if (reply != null) {
                    reply.completeExceptionally(error);
                }
            }
        }
    }
}
