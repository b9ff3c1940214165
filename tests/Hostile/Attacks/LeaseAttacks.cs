using System.Text;
using BarBroker.V1;
using Google.Protobuf;

namespace BarBroker.Hostile.Attacks;

/// <summary>Descriptors that are asked for and never read, up to every budget. They stay unread in the quiet slices, too.</summary>
internal sealed class UnreadDescriptors() : Attack("unread_descriptors", "descriptors.refused", "connection", "user")
{
    private const int Connections = 8;
    private const int CallsPerStrike = 25;

    private readonly byte[] _request = Request(Delivery.InBand);
    private readonly List<(AttackSocket Socket, uint Calls)> _connections = [];

    internal static byte[] Request(Delivery delivery) => new AcquireRequest
    {
        Device = "board",
        Ranges = new BarRanges { Bar = 2, Ranges = { new V1.Range { Offset = 512 * 1024, Length = 4096 } } },
        Access = Access.ReadOnly,
        Delivery = delivery,
    }.ToByteArray();

    internal override void Strike(string socket)
    {
        if (_connections.Count < Connections)
        {
            _connections.Add((AttackSocket.Open(socket), 0));
        }

        for (int i = 0; i < _connections.Count; i++)
        {
            (AttackSocket connection, uint calls) = _connections[i];
            for (int call = 0; call < CallsPerStrike; call++, calls++)
            {
                connection.Send(AttackSocket.Call((2 * calls) + 1, Paths.Acquire, _request));
            }

            // What the broker no longer takes is over; what it sent stays unread all the same.
            _connections[i] = (connection, calls);
        }

        _connections.RemoveAll(static connection =>
        {
            if (connection.Socket.IsOver)
            {
                connection.Socket.Dispose();
            }

            return connection.Socket.IsOver;
        });
    }
}

/// <summary>Tickets that nobody was given.</summary>
internal sealed class TicketGuesses() : Attack("ticket_guesses", "tickets.refused", "unknown", "blocked")
{
    internal override void Strike(string socket) => Redeem(socket, Convert.ToHexStringLower(Guid.NewGuid().ToByteArray()));

    internal static void Redeem(string socket, string secret)
    {
        using AttackSocket connection = AttackSocket.Connect(socket);
        connection.Send(Encoding.ASCII.GetBytes($"BARFD1 {secret}\n"));
        connection.DrainToEnd();
    }
}

/// <summary>A ticket that was good once.</summary>
internal sealed class TicketReplay() : Attack("ticket_replay", "tickets.refused", "used", "blocked")
{
    private string? _secret;

    internal override void Strike(string socket)
    {
        _secret ??= AcquireAsync(socket).GetAwaiter().GetResult();
        TicketGuesses.Redeem(socket, _secret);
    }

    private static async Task<string> AcquireAsync(string socket)
    {
        await using Client.Grpc.UnixGrpcChannel channel = await Client.Grpc.UnixGrpcChannel.ConnectAsync(socket, CancellationToken.None);
        AcquireResponse response = await channel.UnaryAsync<AcquireRequest, AcquireResponse>(
            Paths.Acquire, AcquireRequest.Parser.ParseFrom(UnreadDescriptors.Request(Delivery.Ticket)), default);
        return response.Ticket.Secret;
    }
}
