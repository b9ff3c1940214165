// A client process that end-to-end tests drive: one JSON request a line on standard input, one JSON reply a line on
// standard output. It holds whatever it acquired until told otherwise or until its standard input ends.

using System.Text.Json;
using BarBroker.Probe;

await using Session session = new();
while (await Console.In.ReadLineAsync() is { } line)
{
    ProbeRequest request = JsonSerializer.Deserialize(line, ProbeJson.Default.ProbeRequest)
        ?? throw new InvalidDataException("An empty request.");
    ProbeReply reply = await session.AnswerAsync(request);
    Console.Out.WriteLine(JsonSerializer.Serialize(reply, ProbeJson.Default.ProbeReply));
}
