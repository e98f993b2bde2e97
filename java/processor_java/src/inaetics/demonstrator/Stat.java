package inaetics.demonstrator;

/** One figure. {@code type} is "counter" (only ever grows while its provider lives) or "gauge". */
public record Stat(String name, String type, String unit, double value) {}
