// The calls that every client of tests/e2e makes. Prints a report as JSON; tests/e2e/walk.py checks it.

export async function walk(connect, revisionOf, token) {
  const client = await connect(token);
  const call = (name, args) => client.callTool({ name, arguments: args });
  const { tools } = await client.listTools();
  const results = {};
  results.add = await call("add_task", { title: "Buy milk", description: "2 litres" });
  const task = { task_id: results.add.structuredContent.data.task_id };
  results.list = await call("list_tasks", { status: "pending" });
  results.complete = await call("complete_task", task);
  results.update = await call("update_task", { ...task, title: "Buy oat milk" });
  results.delete = await call("delete_task", task);
  results.error = await call("complete_task", task);
  const report = {
    revision: revisionOf(client),
    server: client.getServerVersion().name,
    tools: tools.map((tool) => tool.name),
    results,
    wrongToken: await wrongToken(connect, token),
  };
  await client.close();
  console.log(JSON.stringify(report));
}

async function wrongToken(connect, token) {
  try {
    await connect(`${token}x`);
    return "was let in";
  } catch (error) {
    return `${error.name} ${error.message}`;
  }
}
