import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;

/** A MongoDB in memory for tests: prints its port, and ends when its standard input does. */
public class MongoJavaServer {
    /** The drivers of today refuse the version that the server would report by itself. */
    static class Version implements MongoVersion {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(5, 0, 0);
        }

        @Override
        public int getWireVersion() {
            return 13;
        }
    }

    public static void main(String[] arguments) throws Exception {
        MongoServer server = new MongoServer(new MemoryBackend().version(new Version()));
        System.out.println(server.bind().getPort());
        while (System.in.read() >= 0) {
            // Whoever started this server holds the other end.
        }
        server.shutdownNow();
    }
}
