package inaetics.demonstrator;

/** Everything one agent reports; offered to other agents, so that this one has a graph of its own. */
public interface AgentStatistics {
    AgentReport report();
}
