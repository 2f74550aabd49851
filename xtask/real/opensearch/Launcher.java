import java.io.IOException;

import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One OpenSearch node in this process. Arguments: its folder, then settings as NAME=VALUE. Ends with SIGTERM. */
public final class Launcher {
    private Launcher() {
    }

    public static void main(String[] arguments) throws Exception {
        OpenSearchRunner runner = new OpenSearchRunner();
        // The port is given: the runner must not look for one in a range of its own.
        runner.setMaxHttpPort(-1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(runner)));
        runner.onBuild((number, settings) -> {
            settings.putList("node.roles", "cluster_manager", "data", "ingest");
            settings.put("discovery.type", "single-node");
            settings.put("network.host", "127.0.0.1");
            settings.put("transport.port", "0");
            // The disk monitor would lift the block of a full disk that a scene sets.
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
            for (int i = 1; i < arguments.length; i++) {
                String[] pair = arguments[i].split("=", 2);
                settings.put(pair[0], pair[1]);
            }
        });
        runner.build(OpenSearchRunner.newConfigs().basePath(arguments[0]).numOfNode(1).clusterName("real").useLogger());
        Thread.currentThread().join();
    }

    private static void close(OpenSearchRunner runner) {
        try {
            runner.close();
        } catch (IOException e) {
            System.err.println(e);
        }
    }
}
