package inaetics.demonstrator;

import java.util.List;

/** Samples lent by the queue. They come back to it unless {@code id} is acknowledged in time. */
public record BlockDelivery(long id, List<SampleBlock> blocks) {}
