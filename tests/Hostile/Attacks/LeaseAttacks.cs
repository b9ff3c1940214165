using System.Diagnostics;
using System.Text;
using BarBroker.V1;
using Google.Protobuf;

namespace BarBroker.Hostile.Attacks;

/// <summary>Descriptors that are asked for and never read, up to every budget. They stay unread in the quiet slices, too.</summary>
internal sealed class UnreadDescriptors() : Attack("unread_descriptors", "descriptors.refused", "connection", "user")
{
    private const int Connections = 8;
    private const int CallsPerConnection = 250;
    private const ulong Area = 8 * 1024 * 1024;
    private const ulong Page = 4096;
    private const int CallsPerStrike = 25;

    /// <summary>Bytes: the headers of three frames, and more.</summary>
    private const int LeastAnswer = 40;

    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(50);

    // A page each: no two leases share one.
    private readonly byte[][] _requests = [.. Enumerable.Range(0, Connections * CallsPerConnection).Select(static page => Request(Delivery.InBand, (ulong)page))];
    private readonly List<(AttackSocket Socket, uint Calls)> _connections = [];
    private int _nextPage;

    internal static byte[] Request(Delivery delivery, ulong page) => new AcquireRequest
    {
        Device = "board",
        Ranges = new BarRanges { Bar = 2, Ranges = { new V1.Range { Offset = Area + (page * Page), Length = Page } } },
        Access = Access.ReadOnly,
        Delivery = delivery,
    }.ToByteArray();

    internal override void Strike(string socket)
    {
        if (_connections is not [.., { Calls: < CallsPerConnection, Socket.IsOver: false }])
        {
            if (_connections.Count == Connections)
            {
                _connections[0].Socket.Dispose();
                _connections.RemoveAt(0);
            }

            _connections.Add((AttackSocket.Open(socket), 0));
        }

        // More than a hundred under way would end the connection: the answers to these are waited for, and left where they are.
        (AttackSocket connection, uint calls) = _connections[^1];
        int unread = connection.Unread;
        for (int call = 0; call < CallsPerStrike; call++, calls++, _nextPage = (_nextPage + 1) % _requests.Length)
        {
            connection.Send(AttackSocket.Call((2 * calls) + 1, Paths.Acquire, _requests[_nextPage]));
        }

        _connections[^1] = (connection, calls);
        long begin = Stopwatch.GetTimestamp();
        while (connection.Unread < unread + (CallsPerStrike * LeastAnswer) && Stopwatch.GetElapsedTime(begin) < Patience)
        {
            Thread.Sleep(1);
        }
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

    /// <summary>It was the user's who was last.</summary>
    internal override void Rest() => _secret = null;

    private static async Task<string> AcquireAsync(string socket)
    {
        await using Client.Grpc.UnixGrpcChannel channel = await Client.Grpc.UnixGrpcChannel.ConnectAsync(socket, CancellationToken.None);
        AcquireResponse response = await channel.UnaryAsync<AcquireRequest, AcquireResponse>(
            Paths.Acquire, AcquireRequest.Parser.ParseFrom(UnreadDescriptors.Request(Delivery.Ticket, page: 0)), default);
        return response.Ticket.Secret;
    }
}
