package inaetics.remote;

import inaetics.basics.Log;
import inaetics.basics.Tls;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.UnaryOperator;

/**
 * Answers the calls of other agents. A thread reads each connection, another one carries out each call; when all are
 * busy, connections are read no further and their callers wait.
 */
public final class Server implements Closeable {
    private static final int HANDSHAKE_MS = 5000;
    private static final int MOST_CONNECTIONS = 512;
    private static final int MOST_AT_ONCE = 256;

    private final String framework;
    private final Tls tls;
    private final ServerSocket listener;
    private final Map<String, Endpoint> endpoints = new ConcurrentHashMap<>();
    private final Set<Session> sessions = ConcurrentHashMap.newKeySet();
    private final Semaphore connections = new Semaphore(MOST_CONNECTIONS);
    private final Semaphore threads = new Semaphore(MOST_AT_ONCE);
    private final AtomicLong calls = new AtomicLong();
    private final AtomicLong raised = new AtomicLong();
    private final ExecutorService workers = Executors.newCachedThreadPool(work -> daemon(work, "remote call"));
    private volatile UnaryOperator<String> heirs = id -> null;
    private volatile boolean stopping;

    /** Listens at {@code address}, any free port. {@code tls} may be null: then nothing is encrypted. */
    public Server(String address, String framework, Tls tls) throws IOException {
        this.framework = framework;
        this.tls = tls;
        listener = new ServerSocket();
        listener.bind(new InetSocketAddress(InetAddress.getByName(address), 0), 128);
        daemon(this::accept, "remote accept").start();
    }

    public int port() {
        return listener.getLocalPort();
    }

    public void add(String id, Endpoint endpoint) {
        endpoints.put(id, endpoint);
    }

    /** Says which endpoint answers for one that was removed (null: none). */
    public void heirs(UnaryOperator<String> found) {
        heirs = found;
    }

    /** Later calls go to its heir, or are refused; those under way are answered. Returns null for an unknown one. */
    public Endpoint remove(String id) {
        Endpoint removed = endpoints.remove(id);
        if (removed != null) {
            removed.withdraw();
        }
        return removed;
    }

    /** Calls that were carried out, and how many of them raised. */
    public long[] counts() {
        return new long[] {calls.get(), raised.get()};
    }

    public int exported() {
        return endpoints.size();
    }

    /** Takes no more calls, waits a moment for those under way, and closes. */
    @Override
    public void close() {
        stopping = true;
        try {
            listener.close();
            long end = System.nanoTime() + 1_000_000_000L;
            while (threads.availablePermits() < MOST_AT_ONCE && System.nanoTime() < end) {
                Thread.sleep(5);
            }
        } catch (IOException | InterruptedException error) {
            Log.debug("remote services closed in a hurry", "reason", error.toString());
        }
        sessions.forEach(session -> session.link.close());
        workers.shutdownNow();
    }

    /** The endpoint that carries out a call for {@code id}, where it is under way from now on; null when none does. */
    private Endpoint begin(String id, Object call) {
        Endpoint found = endpoints.get(id);
        if (found == null || !found.begin(call)) {
            String heir = heirs.apply(id);
            found = heir == null ? null : endpoints.get(heir);
            if (found == null || !found.begin(call)) {
                return null;
            }
        }
        return found;
    }

    private void accept() {
        while (!stopping) {
            try {
                Socket wire = listener.accept();
                if (connections.tryAcquire()) {
                    daemon(() -> serve(wire), "remote connection").start();
                } else {
                    wire.close();
                    Log.warning("too many remote callers", "most", MOST_CONNECTIONS);
                }
            } catch (IOException error) {
                if (!stopping) {
                    Log.error("cannot accept a remote caller", "error", error.toString());
                    pause();
                }
            }
        }
    }

    private void serve(Socket wire) {
        String peer = wire.getInetAddress().getHostAddress();
        try (wire) {
            Link link = new Link(wire, tls == null ? null : tls.context(), false, peer, HANDSHAKE_MS);
            link.greet(framework);
            Session session = new Session(link);
            sessions.add(session);
            try {
                session.read();
            } finally {
                sessions.remove(session);
                session.end();
            }
        } catch (EOFException over) {
            Log.debug("remote caller left", "peer", peer);
        } catch (IOException error) {
            Log.debug("connection of a remote caller ended", "peer", peer, "reason", error.toString());
        } catch (InterruptedException ended) {
            Thread.currentThread().interrupt();
        } finally {
            connections.release();
        }
    }

    /** One caller's connection. */
    private final class Session {
        final Link link;
        private final Map<Long, Future<?>> open = new ConcurrentHashMap<>();
        private final AtomicInteger atOnce = new AtomicInteger();

        Session(Link link) {
            this.link = link;
        }

        void read() throws IOException, InterruptedException {
            while (true) {
                Frame frame = link.receive();
                if (frame instanceof Frame.Call call) {
                    take(call);
                } else if (frame instanceof Frame.OneWay call) {
                    threads.acquire();
                    Endpoint endpoint = begin(call.endpoint(), call);
                    workers.execute(() -> carryOut(call, endpoint));
                } else if (frame instanceof Frame.Ping ping) {
                    boolean there = ping.endpoint().isEmpty() || endpoints.containsKey(ping.endpoint());
                    link.send(new Frame.Answer(ping.id(), there));
                } else if (frame instanceof Frame.Cancel cancel) {
                    Future<?> running = open.get(cancel.id());
                    if (running != null) {
                        running.cancel(true);
                    }
                } else {
                    throw new Frame.Malformed("a caller sends no " + frame.getClass().getSimpleName());
                }
            }
        }

        void end() {
            link.close();
            open.values().forEach(call -> call.cancel(true));
        }

        private void take(Frame.Call call) throws IOException, InterruptedException {
            if (stopping) {
                link.send(refusal(call.id(), Frame.STOPPING, "the provider is stopping"));
                return;
            }
            if (atOnce.get() >= Frame.WINDOW) {
                link.send(refusal(call.id(), Frame.BUSY, "more than " + Frame.WINDOW + " calls at once"));
                return;
            }
            atOnce.incrementAndGet();
            threads.acquire();
            long until = call.withinMs() > 0 ? System.nanoTime() + call.withinMs() * 1_000_000L : Long.MAX_VALUE;
            Work work = new Work(call, until, begin(call.endpoint(), call));
            open.put(call.id(), work);
            workers.execute(work);
        }

        /** A call: answered exactly once, also when it was cancelled before it began. */
        private final class Work extends FutureTask<Void> {
            private final Frame.Call call;
            private final Endpoint endpoint;
            private final boolean[] begun;

            /** {@code endpoint} knows that the call is under way; null when there is none. */
            Work(Frame.Call call, long until, Endpoint endpoint) {
                this(call, until, endpoint, new boolean[1]);
            }

            private Work(Frame.Call call, long until, Endpoint endpoint, boolean[] begun) {
                super(() -> {
                    begun[0] = true; // a cancel from now on interrupts
                    carryOut(call, until, endpoint);
                    return null;
                });
                this.call = call;
                this.endpoint = endpoint;
                this.begun = begun;
            }

            @Override
            public void run() {
                try {
                    super.run();
                    if (!begun[0]) {
                        answer(call, endpoint, refusal(call.id(), Frame.CANCELLED, "the caller had given up"));
                    }
                } finally {
                    threads.release();
                }
            }
        }

        private void carryOut(Frame.Call call, long until, Endpoint endpoint) {
            if (System.nanoTime() > until) {
                answer(call, endpoint, refusal(call.id(), Frame.CANCELLED, "its time was over before it began"));
                return;
            }
            if (endpoint == null) {
                String words = "no service " + call.endpoint() + " is exported here";
                answer(call, null, refusal(call.id(), Frame.NO_ENDPOINT, words));
                return;
            }
            try {
                Object result = endpoint.call(call.method(), call.args(), call.kwargs());
                calls.incrementAndGet();
                if (result instanceof CompletionStage<?> later) {
                    later.whenComplete((value, error) -> answer(call, endpoint, error == null
                            ? new Frame.Answer(call.id(), value)
                            : raisedBy(call.id(), error instanceof CompletionException ? error.getCause() : error)));
                } else {
                    answer(call, endpoint, new Frame.Answer(call.id(), result));
                }
            } catch (Endpoint.NoMethod none) {
                answer(call, endpoint, refusal(call.id(), Frame.NO_METHOD, none.getMessage()));
            } catch (Throwable error) { // a service may throw anything; the caller is told
                calls.incrementAndGet();
                answer(call, endpoint, raisedBy(call.id(), error));
            }
        }

        private void carryOut(Frame.OneWay call, Endpoint endpoint) {
            try {
                if (endpoint != null) {
                    endpoint.call(call.method(), call.args(), call.kwargs());
                    calls.incrementAndGet();
                }
            } catch (Throwable error) { // nobody waits for it
                Log.warning("one-way call failed", "method", call.method(), "error", error.toString());
            } finally {
                if (endpoint != null) {
                    endpoint.end(call);
                }
                threads.release();
            }
        }

        private Frame.Failure raisedBy(long id, Throwable error) {
            raised.incrementAndGet();
            Log.debug("remote call raised", "error", error.toString());
            return Errors.raised(id, error);
        }

        /** Answers a call, and ends it where it was under way. */
        private void answer(Frame.Call call, Endpoint endpoint, Frame answer) {
            try {
                answer(call.id(), answer);
            } finally {
                if (endpoint != null) {
                    endpoint.end(call);
                }
            }
        }

        private void answer(long id, Frame answer) {
            open.remove(id);
            atOnce.decrementAndGet();
            try {
                byte[] frame;
                try {
                    frame = answer.encode();
                } catch (Msgpack.Malformed error) {
                    frame = new Frame.Failure(id, Frame.UNSENDABLE, "InvalidInput", error.getMessage()).encode();
                }
                link.send(frame);
            } catch (IOException error) {
                Log.debug("answer not sent", "reason", error.toString());
                link.close();
            }
        }
    }

    private static Frame.Failure refusal(long id, int reason, String words) {
        return new Frame.Failure(id, reason, "", words);
    }

    private static Thread daemon(Runnable work, String name) {
        Thread thread = new Thread(work, name);
        thread.setDaemon(true);
        return thread;
    }

    private static void pause() {
        try {
            Thread.sleep(100);
        } catch (InterruptedException ended) {
            Thread.currentThread().interrupt();
        }
    }
}
