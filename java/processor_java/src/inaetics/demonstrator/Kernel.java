package inaetics.demonstrator;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** What a processor computes: result1 = value1 + value2, after {@code costUs} µs of processor time a sample. */
record Kernel(double costUs) {
    private static final ThreadMXBean TIME = ManagementFactory.getThreadMXBean();
    private static final int WIDTH = 8;

    ResultBlock process(SampleBlock block) {
        spend((long) (block.count() * costUs * 1000));
        ByteBuffer value1 = column(block.value1(), block.count());
        ByteBuffer value2 = column(block.value2(), block.count());
        ByteBuffer result = column(new byte[block.count() * WIDTH], block.count());
        ByteBuffer processed = column(new byte[block.count() * WIDTH], block.count());
        long now = System.currentTimeMillis();
        for (int at = 0; at < block.count() * WIDTH; at += WIDTH) {
            result.putDouble(at, value1.getDouble(at) + value2.getDouble(at));
            processed.putLong(at, now);
        }
        return new ResultBlock(processed.array(), result.array(), block);
    }

    private static ByteBuffer column(byte[] bytes, int count) {
        if (bytes.length != count * WIDTH) {
            throw new IllegalArgumentException(
                    "a column of " + count + " samples has " + count * WIDTH + " bytes, not " + bytes.length);
        }
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static void spend(long nanos) {
        long end = nanos > 0 ? TIME.getCurrentThreadCpuTime() + nanos : 0;
        double value = 0.5;
        while (nanos > 0 && TIME.getCurrentThreadCpuTime() < end) {
            for (int i = 0; i < 50; i++) {
                value = Math.abs(Math.sin(value * 3.9 * (1 - value)));
            }
        }
    }
}
