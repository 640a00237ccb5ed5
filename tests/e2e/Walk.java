// java Walk.java BASE TOKEN DOOR: Java's own HTTP client with its defaults. It asks for h2c by Upgrade with each request
// and sends no Accept. DOOR is a revision of MCP, "http" or "rest". It prints "STEP STATUS BODY" for each answer.
import java.io.ByteArrayInputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

public class Walk {
    static final String MODERN = "2026-07-28";
    static final HttpClient CLIENT = HttpClient.newHttpClient();
    static String base, token, door;
    static int id = 0;

    public static void main(String[] line) throws Exception {
        System.setOut(new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8));
        base = line[0];
        token = line[1];
        door = line[2];
        switch (door) {
            case "http" -> useTools();
            case "rest" -> useConversations();
            default -> useMcp();
        }
    }

    static void useMcp() throws Exception {
        if (door.equals(MODERN)) {
            print("open", rpc("server/discover", ""));
        } else {
            print("open", rpc("initialize", """
                "protocolVersion": "%s", "capabilities": {}, "clientInfo": {"name": "java", "version": "1"}""".formatted(door)));
            print("ready", send(mcp("notifications/initialized", "", "{\"jsonrpc\": \"2.0\", \"method\": \"notifications/initialized\"}")));
        }
        print("tools", rpc("tools/list", ""));
        walk();
        token += "x";
        print("wrongToken", rpc("tools/list", ""));
    }

    static void useTools() throws Exception {
        walk();
        List<CompletableFuture<HttpResponse<String>>> answers = Stream.generate(() -> tool("list_tasks", "{}").build())
            .limit(20).map(request -> CLIENT.sendAsync(request, BodyHandlers.ofString())).toList();
        for (var answer : answers) print("concurrent", answer.get());
        byte[] pieces = "{\"title\": \"In pieces\"}".getBytes(StandardCharsets.UTF_8);
        BodyPublisher chunked = BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(pieces));
        print("chunked", send(tool("add_task", "").POST(chunked)));
        print("continue", send(tool("add_task", "{\"title\": \"After 100\"}").expectContinue(true)));
        token += "x";
        print("wrongToken", send(tool("list_tasks", "{}")));
    }

    static void useConversations() throws Exception {
        HttpResponse<String> created = print("create", send(at("/api/conversations").POST(BodyPublishers.ofString("{}"))));
        String path = "/api/conversations/" + number("id", created.body());
        String turn = "[{\"role\": \"user\", \"content\": \"Gr\u00fc\u00dfe\"}, {\"role\": \"assistant\", \"content\": \"Hello\"}]";
        print("append", send(at(path + "/messages").POST(BodyPublishers.ofString(turn))));
        print("read", send(at(path + "/messages?last=20").GET()));
        print("list", send(at("/api/conversations").GET()));
        print("delete", send(at(path).DELETE()));
        print("gone", send(at(path).GET()));
    }

    /** The calls that every client of tests/e2e makes. */
    static void walk() throws Exception {
        String task = "{\"task_id\": %s}".formatted(number("task_id",
            print("add", call("add_task", "{\"title\": \"Buy milk\", \"description\": \"2 litres\"}")).body()));
        print("list", call("list_tasks", "{\"status\": \"pending\"}"));
        print("complete", call("complete_task", task));
        print("update", call("update_task", task.replace("}", ", \"title\": \"Buy oat milk\"}")));
        print("delete", call("delete_task", task));
        print("error", call("complete_task", task));
    }

    static HttpResponse<String> call(String name, String arguments) throws Exception {
        if (door.equals("http")) return send(tool(name, arguments));
        return rpc("tools/call", "\"name\": \"%s\", \"arguments\": %s".formatted(name, arguments));
    }

    static HttpResponse<String> rpc(String method, String params) throws Exception {
        String meta = door.equals(MODERN) ? """
            "_meta": {"io.modelcontextprotocol/protocolVersion": "%s", "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "java", "version": "1"}}""".formatted(MODERN) : "";
        String all = params + (params.isEmpty() || meta.isEmpty() ? "" : ", ") + meta;
        return send(mcp(method, params, """
            {"jsonrpc": "2.0", "id": %d, "method": "%s", "params": {%s}}""".formatted(++id, method, all)));
    }

    static HttpRequest.Builder mcp(String method, String params, String body) {
        HttpRequest.Builder request = at("/mcp").header("MCP-Protocol-Version", door).POST(BodyPublishers.ofString(body));
        if (!door.equals(MODERN)) return request;
        Matcher name = Pattern.compile("^\"name\": \"(\\w+)\"").matcher(params);
        if (name.find()) request.header("Mcp-Name", name.group(1));
        return request.header("Mcp-Method", method);
    }

    static HttpRequest.Builder tool(String name, String arguments) {
        return at("/api/tools/" + name).POST(BodyPublishers.ofString(arguments));
    }

    static HttpRequest.Builder at(String path) {
        return HttpRequest.newBuilder(URI.create(base + path))
            .header("Authorization", "Bearer " + token).header("Content-Type", "application/json");
    }

    static HttpResponse<String> send(HttpRequest.Builder request) throws Exception {
        return CLIENT.send(request.build(), BodyHandlers.ofString());
    }

    static HttpResponse<String> print(String step, HttpResponse<String> answer) {
        System.out.println(step + " " + answer.statusCode() + " " + answer.body());
        return answer;
    }

    /** The first number of this name. Java's own library has no JSON parser. */
    static String number(String name, String json) {
        Matcher match = Pattern.compile("\"" + name + "\":\\s*(\\d+)").matcher(json);
        if (!match.find()) throw new IllegalStateException("There is no " + name + " in " + json);
        return match.group(1);
    }
}
