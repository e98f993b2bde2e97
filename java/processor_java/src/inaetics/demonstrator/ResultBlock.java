package inaetics.demonstrator;

/** The results of a block of samples, by columns as those are: integers, then floats. */
public record ResultBlock(byte[] processedMs, byte[] result1, SampleBlock samples) {}
