package inaetics.remote;

import java.io.ByteArrayOutputStream;
import java.lang.reflect.Array;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/**
 * msgpack, as far as remote services use it.
 *
 * <p>Read are null, {@code Boolean}, {@code Long} ({@code BigInteger} from 2<sup>63</sup> on), {@code Double},
 * {@code String}, {@code byte[]}, {@code List}, {@code Map} and {@code Instant}. Written are these, every other number,
 * collection and array, records (as the array of their components), enums, UUIDs and decimals (as text).
 */
public final class Msgpack {
    /** What cannot be written or read, and why. */
    public static final class Malformed extends RuntimeException {
        private static final long serialVersionUID = 1;

        Malformed(String message) {
            super(message);
        }
    }

    static final int DEEPEST = 1000;
    private static final BigInteger MOST = BigInteger.ONE.shiftLeft(64).subtract(BigInteger.ONE);
    private static final BigInteger LEAST = BigInteger.valueOf(Long.MIN_VALUE);

    private Msgpack() {}

    /** Throws {@link Malformed} for values that have no form. */
    public static byte[] encode(Object value) {
        Writer writer = new Writer();
        writer.value(value, 0);
        return writer.out.toByteArray();
    }

    /** One value, and nothing behind it. Throws {@link Malformed}. */
    public static Object decode(byte[] data) {
        ByteBuffer in = ByteBuffer.wrap(data);
        try {
            Object value = value(in, 0);
            if (in.hasRemaining()) {
                throw new Malformed(in.remaining() + " bytes follow the value");
            }
            return value;
        } catch (BufferUnderflowException error) {
            throw new Malformed("it ends in the middle");
        }
    }

    private static Object value(ByteBuffer in, int depth) {
        if (depth > DEEPEST) {
            throw new Malformed("more than " + DEEPEST + " levels");
        }
        int head = in.get() & 0xff;
        if (head < 0x80 || head >= 0xe0) {
            return (long) (byte) head;
        }
        if (head < 0x90) {
            return map(in, head & 0x0f, depth);
        }
        if (head < 0xa0) {
            return list(in, head & 0x0f, depth);
        }
        if (head < 0xc0) {
            return text(in, head & 0x1f);
        }
        return switch (head) {
            case 0xc0 -> null;
            case 0xc2 -> false;
            case 0xc3 -> true;
            case 0xc4 -> bytes(in, in.get() & 0xff);
            case 0xc5 -> bytes(in, in.getShort() & 0xffff);
            case 0xc6 -> bytes(in, in.getInt());
            case 0xc7 -> time(in, in.get() & 0xff);
            case 0xca -> (double) in.getFloat();
            case 0xcb -> in.getDouble();
            case 0xcc -> (long) (in.get() & 0xff);
            case 0xcd -> (long) (in.getShort() & 0xffff);
            case 0xce -> in.getInt() & 0xffffffffL;
            case 0xcf -> unsigned(in.getLong());
            case 0xd0 -> (long) in.get();
            case 0xd1 -> (long) in.getShort();
            case 0xd2 -> (long) in.getInt();
            case 0xd3 -> in.getLong();
            case 0xd6 -> time(in, 4);
            case 0xd7 -> time(in, 8);
            case 0xd9 -> text(in, in.get() & 0xff);
            case 0xda -> text(in, in.getShort() & 0xffff);
            case 0xdb -> text(in, in.getInt());
            case 0xdc -> list(in, in.getShort() & 0xffff, depth);
            case 0xdd -> list(in, in.getInt(), depth);
            case 0xde -> map(in, in.getShort() & 0xffff, depth);
            case 0xdf -> map(in, in.getInt(), depth);
            default -> throw new Malformed(String.format("0x%02x is no form that travels", head));
        };
    }

    private static Object unsigned(long value) {
        return value >= 0 ? (Object) value : new BigInteger(Long.toUnsignedString(value));
    }

    private static byte[] bytes(ByteBuffer in, int size) {
        byte[] found = new byte[announced(in, size)];
        in.get(found);
        return found;
    }

    private static String text(ByteBuffer in, int size) {
        ByteBuffer part = in.slice(in.position(), announced(in, size));
        in.position(in.position() + size);
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(part).toString();
        } catch (CharacterCodingException error) {
            throw new Malformed("text that is no UTF-8");
        }
    }

    private static List<Object> list(ByteBuffer in, int size, int depth) {
        List<Object> found = new ArrayList<>(announced(in, size));
        for (int i = 0; i < size; i++) {
            found.add(value(in, depth + 1));
        }
        return found;
    }

    private static Map<Object, Object> map(ByteBuffer in, int size, int depth) {
        Map<Object, Object> found = new LinkedHashMap<>();
        announced(in, size);
        for (int i = 0; i < size; i++) {
            Object key = value(in, depth + 1);
            found.put(key, value(in, depth + 1));
        }
        return found;
    }

    /** A size that can be true: every thing of it takes a byte at least. Nothing is set aside for others. */
    private static int announced(ByteBuffer in, int size) {
        if (size < 0 || size > in.remaining()) {
            throw new Malformed("it ends in the middle");
        }
        return size;
    }

    private static Instant time(ByteBuffer in, int size) {
        if (in.get() != -1) {
            throw new Malformed("an extension other than the time");
        }
        switch (size) {
            case 4:
                return Instant.ofEpochSecond(in.getInt() & 0xffffffffL);
            case 8:
                long both = in.getLong();
                return Instant.ofEpochSecond(both & 0x3ffffffffL, both >>> 34);
            case 12:
                long nanos = in.getInt() & 0xffffffffL;
                return Instant.ofEpochSecond(in.getLong(), nanos);
            default:
                throw new Malformed("a time of " + size + " bytes");
        }
    }

    /** A record's components in order: as which it travels. */
    static Object[] components(Record made) {
        RecordComponent[] components = made.getClass().getRecordComponents();
        Object[] found = new Object[components.length];
        try {
            for (int i = 0; i < found.length; i++) {
                components[i].getAccessor().setAccessible(true);
                found[i] = components[i].getAccessor().invoke(made);
            }
        } catch (IllegalAccessException | InvocationTargetException error) {
            throw new Malformed("cannot read " + made.getClass().getName() + ": " + error);
        }
        return found;
    }

    private static final class Writer {
        final ByteArrayOutputStream out = new ByteArrayOutputStream(256);

        void value(Object value, int depth) {
            if (depth > DEEPEST) {
                throw new Malformed("more than " + DEEPEST + " levels (is it inside itself?)");
            }
            if (value == null) {
                out.write(0xc0);
            } else if (value instanceof Boolean bool) {
                out.write(bool ? 0xc3 : 0xc2);
            } else if (value instanceof Double || value instanceof Float) {
                put(0xcb, 8, Double.doubleToRawLongBits(((Number) value).doubleValue()));
            } else if (value instanceof BigInteger number) {
                big(number);
            } else if (value instanceof Number number && !(value instanceof BigDecimal)) {
                number(number.longValue());
            } else if (value instanceof byte[] bytes) {
                head(bytes.length, 0xc4, -1, 0);
                out.writeBytes(bytes);
            } else if (value instanceof Collection<?> items) {
                list(items.toArray(), depth);
            } else if (value instanceof Map<?, ?> map) {
                map(map, depth);
            } else if (value instanceof Record made) {
                list(components(made), depth);
            } else if (value.getClass().isArray()) {
                array(value, depth);
            } else if (value instanceof Instant time) {
                time(time);
            } else if (value instanceof CharSequence || value instanceof UUID || value instanceof BigDecimal
                    || value instanceof Character || value instanceof Enum<?>) {
                text(value.toString());
            } else {
                throw new Malformed(value.getClass().getName() + " cannot be sent (records, lists and maps can)");
            }
        }

        private void big(BigInteger number) {
            if (number.compareTo(LEAST) < 0 || number.compareTo(MOST) > 0) {
                throw new Malformed("a number of more than 64 bits cannot be sent");
            }
            if (number.bitLength() < 64) {
                number(number.longValue());
            } else {
                put(0xcf, 8, number.longValue());
            }
        }

        private void number(long value) {
            if (value >= -32 && value < 128) {
                out.write((int) value);
            } else if (value >= 0) {
                int power = value < 0x100 ? 0 : value < 0x10000 ? 1 : value < 0x100000000L ? 2 : 3;
                put(0xcc + power, 1 << power, value);
            } else {
                int power = value >= Byte.MIN_VALUE ? 0 : value >= Short.MIN_VALUE ? 1 : value >= Integer.MIN_VALUE ? 2 : 3;
                put(0xd0 + power, 1 << power, value);
            }
        }

        private void text(String text) {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            head(bytes.length, 0xd9, 0xa0, 32);
            out.writeBytes(bytes);
        }

        private void list(Object[] items, int depth) {
            head(items.length, 0xdb, 0x90, 16);
            for (Object item : items) {
                value(item, depth + 1);
            }
        }

        private void array(Object array, int depth) {
            Object[] items = new Object[Array.getLength(array)];
            for (int i = 0; i < items.length; i++) {
                items[i] = Array.get(array, i);
            }
            list(items, depth);
        }

        private void map(Map<?, ?> map, int depth) {
            head(map.size(), 0xdd, 0x80, 16);
            map.forEach((key, value) -> {
                value(key, depth + 1);
                value(value, depth + 1);
            });
        }

        private void time(Instant time) {
            out.write(0xc7);
            out.write(12);
            out.write(-1);
            bigEndian(4, time.getNano());
            bigEndian(8, time.getEpochSecond());
        }

        /** {@code base} is the form with a size of one byte (lists and maps: none such); the next have 2 and 4. */
        private void head(int size, int base, int small, int below) {
            boolean oneByte = base == 0xc4 || base == 0xd9;
            if (size < below) {
                out.write(small | size);
            } else if (size < 0x100 && oneByte) {
                put(base, 1, size);
            } else if (size < 0x10000) {
                put(base + 1, 2, size);
            } else {
                put(base + 2, 4, size);
            }
        }

        private void put(int head, int size, long value) {
            out.write(head);
            bigEndian(size, value);
        }

        private void bigEndian(int size, long value) {
            for (int shift = (size - 1) * 8; shift >= 0; shift -= 8) {
                out.write((int) (value >>> shift));
            }
        }
    }
}
