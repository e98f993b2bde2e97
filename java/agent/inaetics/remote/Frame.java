package inaetics.remote;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The frames of remote calls: a length (4 bytes, big endian) and a msgpack array whose first element is the kind.
 *
 * <p>Arrays may grow at their end in later versions: what is unknown there is ignored.
 */
public sealed interface Frame {
    int PROTOCOL = 2;
    /** Bytes of one frame, on both sides. */
    int LARGEST = 64 * 1024 * 1024;
    /** Calls a provider takes at once on a connection, unless its Hello says otherwise. */
    int WINDOW = 256;

    /** Why a call failed. All but {@link #RAISED} and {@link #UNSENDABLE} say that it was not carried out. */
    int RAISED = 0;

    int NO_ENDPOINT = 1;
    int NO_METHOD = 2;
    int BUSY = 3;
    int STOPPING = 4;
    int CANCELLED = 5;
    int UNSENDABLE = 6;

    record Hello(long protocol, String framework, long window) implements Frame {}

    record Call(long id, String endpoint, String method, List<?> args, Map<?, ?> kwargs, long withinMs) implements Frame {}

    record Answer(long id, Object value) implements Frame {}

    record Failure(long id, long reason, String kind, String message) implements Frame {}

    record OneWay(String endpoint, String method, List<?> args, Map<?, ?> kwargs) implements Frame {}

    record Cancel(long id) implements Frame {}

    record Ping(long id, String endpoint) implements Frame {}

    /** A stream that cannot be understood any more. */
    final class Malformed extends IOException {
        private static final long serialVersionUID = 1;

        Malformed(String message) {
            super("cannot understand a frame: " + message);
        }
    }

    /** The whole frame. Throws {@link Msgpack.Malformed} for values that have no form, and for too many bytes. */
    default byte[] encode() {
        List<Object> array = new ArrayList<>();
        array.add(kind());
        array.addAll(fields());
        byte[] payload = Msgpack.encode(array);
        if (payload.length > LARGEST) {
            throw new Msgpack.Malformed(
                    "cannot send " + payload.length + " bytes in one call: at most " + LARGEST + " (send less at a time)");
        }
        return ByteBuffer.allocate(4 + payload.length).putInt(payload.length).put(payload).array();
    }

    private int kind() {
        if (this instanceof Hello) {
            return 0;
        } else if (this instanceof Call) {
            return 1;
        } else if (this instanceof Answer) {
            return 2;
        } else if (this instanceof Failure) {
            return 3;
        } else if (this instanceof OneWay) {
            return 4;
        }
        return this instanceof Cancel ? 5 : 6;
    }

    private List<Object> fields() {
        return java.util.Arrays.asList(Msgpack.components((Record) this));
    }

    /**
     * The next frame of a stream. Throws {@link Malformed} for what is none, {@link EOFException} at the end of the
     * stream, in the middle of a frame too.
     */
    static Frame read(InputStream in) throws IOException {
        byte[] head = in.readNBytes(4);
        if (head.length < 4) {
            throw new EOFException("the other side ended the connection");
        }
        int size = ByteBuffer.wrap(head).getInt();
        if (size < 0 || size > LARGEST) {
            throw new Malformed(Integer.toUnsignedString(size) + " bytes are more than " + LARGEST);
        }
        byte[] payload = in.readNBytes(size); // grows with what comes, not with what was announced
        if (payload.length < size) {
            throw new EOFException("the other side ended the connection in the middle of a frame");
        }
        return decode(payload);
    }

    /** What a frame without its length says. */
    static Frame decode(byte[] payload) throws Malformed {
        Object value;
        try {
            value = Msgpack.decode(payload);
        } catch (Msgpack.Malformed error) {
            throw new Malformed(error.getMessage());
        }
        if (!(value instanceof List<?> array) || array.isEmpty() || !(array.get(0) instanceof Long kind)) {
            throw new Malformed("it is no array that begins with its kind");
        }
        Fields f = new Fields(array);
        return switch ((int) Math.max(-1, Math.min(kind, 99))) {
            case 0 -> new Hello(f.number(1), f.text(2), f.number(3, WINDOW));
            case 1 -> new Call(f.number(1), f.text(2), f.text(3), f.list(4), f.map(5), f.number(6, 0));
            case 2 -> new Answer(f.number(1), f.any(2));
            case 3 -> new Failure(f.number(1), f.number(2), f.text(3), f.text(4));
            case 4 -> new OneWay(f.text(1), f.text(2), f.list(3), f.map(4));
            case 5 -> new Cancel(f.number(1));
            case 6 -> new Ping(f.number(1), array.size() > 2 ? f.text(2) : "");
            default -> throw new Malformed("there is no kind " + kind);
        };
    }

    /** The elements of a frame's array, of the types they must have. */
    record Fields(List<?> array) {
        long number(int at) throws Malformed {
            return the(Long.class, at);
        }

        long number(int at, long otherwise) throws Malformed {
            return at < array.size() ? number(at) : otherwise;
        }

        String text(int at) throws Malformed {
            return the(String.class, at);
        }

        List<?> list(int at) throws Malformed {
            return the(List.class, at);
        }

        Map<?, ?> map(int at) throws Malformed {
            return the(Map.class, at);
        }

        Object any(int at) throws Malformed {
            if (at >= array.size()) {
                throw new Malformed("it lacks element " + at);
            }
            return array.get(at);
        }

        private <T> T the(Class<T> type, int at) throws Malformed {
            if (!type.isInstance(any(at))) {
                throw new Malformed("its element " + at + " is no " + type.getSimpleName());
            }
            return type.cast(any(at));
        }
    }
}
