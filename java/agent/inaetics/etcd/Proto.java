package inaetics.etcd;

import java.io.ByteArrayOutputStream;

/** As much of protocol buffers as etcd's few messages need: numbers, bytes and messages in messages. */
final class Proto {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    /** A number; 0 is left out, as the format has it. */
    Proto number(int field, long value) {
        if (value != 0) {
            varint((long) field << 3);
            varint(value);
        }
        return this;
    }

    /** Bytes, or a message; nothing is left out. */
    Proto bytes(int field, byte[] value) {
        if (value.length > 0) {
            varint((long) field << 3 | 2);
            varint(value.length);
            out.writeBytes(value);
        }
        return this;
    }

    byte[] made() {
        return out.toByteArray();
    }

    private void varint(long value) {
        while ((value & ~0x7fL) != 0) {
            out.write((int) (value & 0x7f | 0x80));
            value >>>= 7;
        }
        out.write((int) value);
    }

    /** Told of each field of a message: {@code number} for numbers, {@code bytes} for what has a length. */
    interface Reader {
        default void number(int field, long value) {}

        default void bytes(int field, byte[] value) {}
    }

    /** Tells {@code reader} the fields of {@code message} in their order. */
    static void read(byte[] message, Reader reader) {
        Cursor cursor = new Cursor(message);
        while (cursor.at < message.length) {
            long tag = cursor.varint();
            int field = (int) (tag >>> 3);
            switch ((int) (tag & 7)) {
                case 0 -> reader.number(field, cursor.varint());
                case 1 -> cursor.take(8);
                case 2 -> reader.bytes(field, cursor.take(cursor.varint()));
                case 5 -> cursor.take(4);
                default -> throw new IllegalArgumentException("etcd sends what is no message");
            }
        }
    }

    private static final class Cursor {
        private final byte[] message;
        private int at;

        Cursor(byte[] message) {
            this.message = message;
        }

        long varint() {
            long value = 0;
            for (int shift = 0; shift < 64; shift += 7) {
                byte next = take(1)[0];
                value |= (long) (next & 0x7f) << shift;
                if (next >= 0) {
                    return value;
                }
            }
            throw new IllegalArgumentException("etcd sends a number that does not end");
        }

        byte[] take(long count) {
            if (count < 0 || count > message.length - at) {
                throw new IllegalArgumentException("etcd sends half a message");
            }
            byte[] taken = java.util.Arrays.copyOfRange(message, at, at + (int) count);
            at += (int) count;
            return taken;
        }
    }
}
