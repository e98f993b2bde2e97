package inaetics.demonstrator;

/** What a processor needs of the queue between producers and processors; it lives in another agent. */
public interface SampleQueue {
    /** Lends {@code minimum} to {@code maximum} samples, waiting for the minimum up to the queue's longest wait. */
    BlockDelivery takeBlocks(int minimum, int maximum);

    /** Says that a delivery was dealt with for good; false when it had been given back already. */
    boolean acknowledge(long delivery);
}
