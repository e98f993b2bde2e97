package inaetics.demonstrator;

import java.util.List;

/** What one node agent says of itself: who and where it is, what it runs, and its figures now. */
public record AgentReport(String agent, String host, String address, List<String> bundles, List<Stat> stats) {}
