package inaetics.remote;

/** How methods are called on the wire: {@code take_blocks} for what a Java interface calls {@code takeBlocks}. */
final class Names {
    private Names() {}

    /** Small letters with underscores, as Python has it; names without capitals stay as they are. */
    static String onTheWire(String name) {
        return name.replaceAll("(?<=[a-z0-9])(?=[A-Z])", "_").toLowerCase(java.util.Locale.ROOT);
    }
}
