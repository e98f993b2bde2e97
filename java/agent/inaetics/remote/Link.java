package inaetics.remote;

import java.io.BufferedInputStream;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;

/**
 * A connection with frames in both directions, over TLS where there are certificates. One thread reads, any may write.
 *
 * <p>A write that takes longer than {@link #TAKEN_MS}, because nobody takes what is sent, closes it; so does a frame
 * that stops in the middle.
 */
final class Link implements Closeable {
    static final long TAKEN_MS = 10_000;
    static final int WHOLE_MS = 30_000;
    private static final Set<Link> WRITING = ConcurrentHashMap.newKeySet();
    private static final ScheduledExecutorService WATCH = Executors.newSingleThreadScheduledExecutor(work -> {
        Thread thread = new Thread(work, "remote watch");
        thread.setDaemon(true);
        return thread;
    });

    static {
        WATCH.scheduleWithFixedDelay(Link::closeStuck, 1, 1, TimeUnit.SECONDS);
    }

    private final Socket wire;
    private final Socket socket;
    private final InputStream in;
    private final OutputStream out;
    private volatile long writingSince;
    private volatile boolean closed;

    /** Makes the handshake. {@code caller} says which side this is; {@code host} is whom a caller wants to reach. */
    Link(Socket wire, SSLContext tls, boolean caller, String host, int withinMs) throws IOException {
        this.wire = wire;
        wire.setTcpNoDelay(true);
        Vanished.notice(wire);
        wire.setSoTimeout(withinMs);
        socket = tls == null ? wire : secured(tls, caller, host);
        in = new BufferedInputStream(socket.getInputStream(), 64 * 1024);
        out = socket.getOutputStream();
    }

    private Socket secured(SSLContext tls, boolean caller, String host) throws IOException {
        SSLSocket secure = (SSLSocket) tls.getSocketFactory().createSocket(wire, host, wire.getPort(), true);
        secure.setUseClientMode(caller);
        secure.setNeedClientAuth(!caller);
        SSLParameters parameters = secure.getSSLParameters();
        parameters.setProtocols(new String[] {"TLSv1.3"});
        if (caller) {
            parameters.setEndpointIdentificationAlgorithm("HTTPS"); // its certificate names the address
        }
        secure.setSSLParameters(parameters);
        secure.startHandshake();
        return secure;
    }

    /** Exchanges Hellos; returns the other side's. */
    Frame.Hello greet(String framework) throws IOException {
        send(new Frame.Hello(Frame.PROTOCOL, framework, Frame.WINDOW));
        if (!(Frame.read(in) instanceof Frame.Hello hello)) {
            throw new Frame.Malformed("it begins without a Hello");
        }
        if (hello.protocol() != Frame.PROTOCOL) {
            throw new IOException("the other side speaks version " + hello.protocol() + " of the protocol, this one "
                    + Frame.PROTOCOL + " (run agents of one version)");
        }
        wire.setSoTimeout(0);
        return hello;
    }

    /** The next frame; waits for its first byte for as long as it takes, and not for ever for the others. */
    Frame receive() throws IOException {
        in.mark(1);
        if (in.read() < 0) {
            throw new EOFException("the other side ended the connection");
        }
        in.reset();
        wire.setSoTimeout(WHOLE_MS);
        try {
            return Frame.read(in);
        } catch (SocketTimeoutException late) {
            throw new IOException("a frame stopped in the middle", late);
        } finally {
            wire.setSoTimeout(0);
        }
    }

    void send(Frame frame) throws IOException {
        send(frame.encode());
    }

    /** Sends a whole frame. When it throws, less than the whole went out. */
    synchronized void send(byte[] frame) throws IOException {
        writingSince = System.nanoTime();
        WRITING.add(this);
        try {
            out.write(frame);
            out.flush();
        } finally {
            WRITING.remove(this);
        }
    }

    boolean isClosed() {
        return closed;
    }

    @Override
    public void close() {
        closed = true;
        try {
            wire.close(); // not the socket above it: that would wait for a write that hangs
        } catch (IOException gone) {
            // it is closed all the same
        }
    }

    private static void closeStuck() {
        long now = System.nanoTime();
        for (Link each : WRITING) {
            if (now - each.writingSince > TimeUnit.MILLISECONDS.toNanos(TAKEN_MS)) {
                each.close();
            }
        }
    }
}
