package inaetics.demonstrator;

/** What can be set at producers and processors alike; offered to other agents. */
public interface PipelineControl {
    /** Processors take what there is: this only checks. Throws {@link IllegalArgumentException} beyond 0 to 100 %. */
    void setUtilisation(double percent);

    /** Samples a second that were made or processed lately. */
    double rate();

    /** Makes processors compute so many µs of processor time for each sample. */
    void setCost(double us);

    /** Producers are "periodic" or in "burst"s; processors take what there is: this only checks. */
    void setMode(String mode);
}
