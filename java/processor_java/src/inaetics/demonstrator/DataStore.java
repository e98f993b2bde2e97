package inaetics.demonstrator;

import java.util.List;

/** What a processor needs of the datastore; it lives in another agent. */
public interface DataStore {
    /** Keeps all, each sample once; returns how many samples were new. */
    long storeBlocks(List<ResultBlock> blocks);
}
