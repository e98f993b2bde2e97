package inaetics.etcd;

import inaetics.basics.Tls;
import inaetics.basics.Web;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * etcd over gRPC, as far as a node agent needs it: keys below a prefix, leases, and watching.
 *
 * <p>gRPC is HTTP/2 with a small frame around each message, which the JDK's own client can do for calls with one
 * request; a watch is one, too. One member is spoken to at a time; {@link #another} goes to the next and ends every
 * watch, so that whoever watches begins anew there.
 *
 * <p>It needs TLS: HTTP/2 in the clear is not what the JDK's client and etcd agree on. Safe from any thread.
 */
public final class Etcd {
    /** A key as it is; {@code value} is null for one that was deleted. */
    public record Item(String key, byte[] value) {}

    /** Everything below a prefix at a revision. */
    public record Listing(long revision, List<Item> items) {}

    /** Told of changes, each batch in order. */
    public interface Changes {
        void changed(List<Item> items);
    }

    private static final Duration CONNECT = Duration.ofSeconds(5);
    private static final long ANSWER_MS = 8000; // the first one, with its handshake, takes long on a busy machine
    private static final int LARGEST = 64 * 1024 * 1024;

    private final List<URI> members;
    private final Web web;
    private final Set<InputStream> watches = ConcurrentHashMap.newKeySet();
    private volatile int member;

    /** {@code members} are URLs such as {@code https://127.0.0.1:2379}. */
    public Etcd(List<String> members, Tls tls) {
        for (String each : members) {
            if (!each.startsWith("https://") || tls == null) {
                throw new IllegalArgumentException("cannot use etcd at '" + each
                        + "': a Java agent reaches it over TLS only (INAETICS_ETCD_ENDPOINTS=https://…, and ca.pem,"
                        + " cert.pem and key.pem in INAETICS_TLS_DIR)");
            }
        }
        this.members = members.stream().map(URI::create).toList();
        this.web = new Web(HttpClient.Version.HTTP_2, CONNECT, tls);
    }

    /** Speak to the next member from now on, over a new connection. */
    public synchronized void another() {
        member = (member + 1) % members.size();
        web.anew();
        for (InputStream watch : watches) {
            closeQuietly(watch);
        }
    }

    /** Where it speaks to now, for messages. */
    public String where() {
        return members.get(member).getAuthority();
    }

    /** Everything below {@code prefix}. */
    public Listing list(String prefix) throws IOException {
        byte[] request = new Proto().bytes(1, bytes(prefix)).bytes(2, endOf(prefix)).made();
        long[] revision = new long[1];
        List<Item> items = new ArrayList<>();
        Proto.read(ask("etcdserverpb.KV/Range", request), new Proto.Reader() {
            @Override
            public void bytes(int field, byte[] value) {
                if (field == 1) {
                    revision[0] = revisionOf(value);
                } else if (field == 2) {
                    items.add(item(value, false));
                }
            }
        });
        return new Listing(revision[0], items);
    }

    /** Writes a key under a lease (0: without one). */
    public void put(String key, byte[] value, long lease) throws IOException {
        ask("etcdserverpb.KV/Put", new Proto().bytes(1, bytes(key)).bytes(2, value).number(3, lease).made());
    }

    public void delete(String key) throws IOException {
        ask("etcdserverpb.KV/DeleteRange", new Proto().bytes(1, bytes(key)).made());
    }

    /** A new lease of so many seconds; returns its number. */
    public long grant(long seconds) throws IOException {
        return numberOf(ask("etcdserverpb.Lease/LeaseGrant", new Proto().number(1, seconds).made()), 2);
    }

    /** Keeps a lease alive; returns the seconds it has now, 0 when it is gone. */
    public long keepAlive(long lease) throws IOException {
        return numberOf(ask("etcdserverpb.Lease/LeaseKeepAlive", new Proto().number(1, lease).made()), 3);
    }

    /** Ends a lease, and with it the keys under it. */
    public void revoke(long lease) throws IOException {
        ask("etcdserverpb.Lease/LeaseRevoke", new Proto().number(1, lease).made());
    }

    /**
     * Tells {@code changes} what changes below {@code prefix} from {@code revision} on; returns when etcd ends the watch
     * or {@link #another} does, and throws when the connection breaks. List again, then watch again.
     */
    public void watch(String prefix, long revision, Changes changes) throws IOException {
        byte[] create = new Proto().bytes(1, bytes(prefix)).bytes(2, endOf(prefix)).number(3, revision).made();
        InputStream stream = open("etcdserverpb.Watch/Watch", new Proto().bytes(1, create).made());
        watches.add(stream);
        try {
            while (true) {
                byte[] message = message(stream);
                if (message == null || numberOf(message, 4) != 0) { // the end, or "canceled"
                    return;
                }
                List<Item> items = new ArrayList<>();
                Proto.read(message, new Proto.Reader() {
                    @Override
                    public void bytes(int field, byte[] value) {
                        if (field == 11) {
                            items.add(event(value));
                        }
                    }
                });
                if (!items.isEmpty()) {
                    changes.changed(items);
                }
            }
        } finally {
            watches.remove(stream);
            closeQuietly(stream);
        }
    }

    private byte[] ask(String method, byte[] request) throws IOException {
        try (InputStream stream = open(method, request)) {
            byte[] answer = message(stream);
            if (answer == null) {
                throw new IOException("etcd at " + where() + " refuses " + method + " (may this certificate do it?)");
            }
            return answer;
        }
    }

    private InputStream open(String method, byte[] message) throws IOException {
        byte[] body = ByteBuffer.allocate(5 + message.length).put((byte) 0).putInt(message.length).put(message).array();
        HttpRequest request = HttpRequest.newBuilder(members.get(member).resolve("/" + method))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .POST(HttpRequest.BodyPublishers.ofByteArray(body))
                .build();
        var asked = web.client().sendAsync(request, HttpResponse.BodyHandlers.ofInputStream());
        try {
            HttpResponse<InputStream> answer = asked.get(ANSWER_MS, TimeUnit.MILLISECONDS);
            String words = answer.headers().firstValue("grpc-message").orElse("");
            if (answer.statusCode() != 200 || !answer.headers().firstValue("grpc-status").orElse("0").equals("0")) {
                throw new IOException("etcd at " + where() + " answers " + answer.statusCode() + " " + words);
            }
            return answer.body();
        } catch (TimeoutException late) {
            asked.cancel(true);
            throw new IOException("etcd at " + where() + " does not answer within " + ANSWER_MS + " ms", late);
        } catch (ExecutionException failed) {
            throw new IOException("cannot reach etcd at " + where() + ": " + failed.getCause(), failed.getCause());
        } catch (InterruptedException interrupted) {
            asked.cancel(true);
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", interrupted);
        }
    }

    /** The next message of an answer; null at its end. */
    private static byte[] message(InputStream stream) throws IOException {
        byte[] head = stream.readNBytes(5);
        if (head.length < 5) {
            return null;
        }
        int size = ByteBuffer.wrap(head, 1, 4).getInt();
        if (size < 0 || size > LARGEST) {
            throw new IOException("etcd sends a message of " + Integer.toUnsignedString(size) + " bytes");
        }
        byte[] found = stream.readNBytes(size);
        return found.length < size ? null : found;
    }

    private static Item event(byte[] message) {
        boolean deleted = numberOf(message, 1) == 1;
        Item[] found = new Item[1];
        Proto.read(message, new Proto.Reader() {
            @Override
            public void bytes(int field, byte[] value) {
                if (field == 2) {
                    found[0] = item(value, deleted);
                }
            }
        });
        return found[0];
    }

    private static Item item(byte[] message, boolean deleted) {
        byte[][] found = {new byte[0], new byte[0]};
        Proto.read(message, new Proto.Reader() {
            @Override
            public void bytes(int field, byte[] value) {
                if (field == 1 || field == 5) {
                    found[field == 1 ? 0 : 1] = value;
                }
            }
        });
        return new Item(new String(found[0], StandardCharsets.UTF_8), deleted ? null : found[1]);
    }

    private static long revisionOf(byte[] header) {
        return numberOf(header, 3);
    }

    private static long numberOf(byte[] message, int wanted) {
        long[] found = new long[1];
        Proto.read(message, new Proto.Reader() {
            @Override
            public void number(int field, long value) {
                if (field == wanted) {
                    found[0] = value;
                }
            }
        });
        return found[0];
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** Behind the last key that begins with {@code prefix}, which ends in a slash or a letter. */
    private static byte[] endOf(String prefix) {
        byte[] end = bytes(prefix);
        end = Arrays.copyOf(end, end.length);
        end[end.length - 1]++;
        return end;
    }

    private static void closeQuietly(InputStream stream) {
        try {
            stream.close();
        } catch (IOException gone) {
            // it is closed all the same
        }
    }
}
