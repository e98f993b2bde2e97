package inaetics.demonstrator;

/**
 * Samples {@code first} to {@code first + count - 1} of one producer, by columns: 8 bytes a sample in each, little
 * endian; integers in {@code timeMs}, floats in the others.
 */
public record SampleBlock(String producer, long first, int count, byte[] timeMs, byte[] value1, byte[] value2) {}
