package slow;

/** Offered by every version of the bundle. */
public interface Slow {
    /** Which version answers. */
    String version();

    /** How many calls of {@link #slowly} are inside. */
    int inside();

    /** Takes until another version was called, and a second; says which version it was, and whether that was stopped. */
    String slowly() throws InterruptedException;
}
