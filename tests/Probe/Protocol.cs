using System.Text.Json.Serialization;

namespace BarBroker.Probe;

/// <summary>What a probe is asked to do, one JSON line each on its standard input. Answered in order.</summary>
internal sealed record ProbeRequest
{
    /// <summary>One of <see cref="ProbeOperation"/>.</summary>
    public required ProbeOperation Operation { get; init; }

    /// <summary>The connection, as <see cref="ProbeOperation.Connect"/> numbered it.</summary>
    public int Connection { get; init; }

    /// <summary>The lease, as <see cref="ProbeOperation.Acquire"/> numbered it: the probe's number, not the broker's.</summary>
    public int Lease { get; init; }

    /// <summary>The broker's socket.</summary>
    public string? Socket { get; init; }

    /// <summary>A method of <see cref="ProbeOperation.Call"/>: service, slash, name.</summary>
    public string? Method { get; init; }

    /// <summary>Its request, in protobuf's JSON.</summary>
    public string? Json { get; init; }

    /// <summary>The device's name in the policy.</summary>
    public string? Device { get; init; }

    /// <summary>The window's name, or null for a range.</summary>
    public string? Window { get; init; }

    /// <summary>A ticket's.</summary>
    public string? Secret { get; init; }

    /// <summary>Base address register of a range.</summary>
    public int Bar { get; init; }

    /// <summary>Bytes: of a range from the BAR's start, of an access or a mapping from the lease's.</summary>
    public ulong Offset { get; init; }

    /// <summary>Bytes.</summary>
    public ulong Length { get; init; }

    /// <summary>Ranges of a BAR; without them, <see cref="Offset"/> and <see cref="Length"/> are the one.</summary>
    public ProbeRange[]? Ranges { get; init; }

    /// <summary>Asks for a peer-to-peer lease.</summary>
    public bool P2P { get; init; }

    /// <summary>How long the lease is to live; null: as long as it may.</summary>
    public TimeSpan? LeaseTime { get; init; }

    /// <summary>Asks for read-write rather than read-only.</summary>
    public bool Writable { get; init; }

    /// <summary>Bits of an access: 8, 16, 32 or 64.</summary>
    public int Width { get; init; }

    /// <summary>What to write.</summary>
    public ulong Value { get; init; }

    /// <summary>How much of it, of an operation whose name begins with Stress.</summary>
    public ProbeStress? Stress { get; init; }
}

/// <summary>How much stress. Every Acquire asks for a page of its own, from <see cref="ProbeRequest.Offset"/> of the BAR on.</summary>
/// <param name="Connections">At a time.</param>
/// <param name="Calls">Acquires at a time on each.</param>
/// <param name="Rounds">How often.</param>
/// <param name="Streams">Streams of large replies beside them, on each connection.</param>
/// <param name="Tolerated">The ErrorInfo reason with which an Acquire may fail; any other failure is an error.</param>
internal sealed record ProbeStress(int Connections, int Calls, int Rounds = 1, int Streams = 0, string? Tolerated = null);

/// <summary>What a probe can do.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ProbeOperation>))]
internal enum ProbeOperation
{
    /// <summary>Connects to <see cref="ProbeRequest.Socket"/>; answers with the connection's number.</summary>
    Connect,

    /// <summary>Calls <see cref="ProbeRequest.Method"/> on <see cref="ProbeRequest.Socket"/>, on a connection of its own; answers with JSON.</summary>
    Call,

    /// <summary>Closes the connection.</summary>
    Disconnect,

    /// <summary>Lists what is granted, as text: a device a line, its windows' names after it.</summary>
    ListDevices,

    /// <summary>Takes a lease; answers with its number and properties.</summary>
    Acquire,

    /// <summary>Maps the lease through the SDK.</summary>
    Map,

    /// <summary>Reads from the mapping.</summary>
    Read,

    /// <summary>Writes to the mapping.</summary>
    Write,

    /// <summary>Writes to the mapping, and waits until the device has it.</summary>
    WriteAndFlush,

    /// <summary>Reads a 32-bit register of every page of the mapping, at <see cref="ProbeRequest.Offset"/> in it; answers with how many had <see cref="ProbeRequest.Value"/>.</summary>
    CountPages,

    /// <summary>Gives the lease back.</summary>
    Release,

    /// <summary>Waits until the SDK reports the lease's end; answers with the reason.</summary>
    AwaitEnd,

    /// <summary>Waits until the SDK reports that the lease will end; answers with the reason.</summary>
    AwaitNotice,

    /// <summary>Waits for the next that the SDK says about the lease's device: <c>suspended REASON</c>, <c>resumed</c> or <c>resumed after a reset</c>.</summary>
    NextDeviceNews,

    /// <summary>mmap(2) of the lease's descriptor, MAP_SHARED, at an offset and length of choice; answers with errno.</summary>
    RawMap,

    /// <summary>Maps the descriptor for reading, then mprotect(2)s it writable; answers with errno.</summary>
    RawProtect,

    /// <summary>Opens the descriptor again through /proc/self/fd for writing; answers with errno.</summary>
    RawReopen,

    /// <summary>write(2)s to the descriptor; answers with errno.</summary>
    RawWrite,

    /// <summary>The number of the lease's descriptor, by which another process can borrow it.</summary>
    RawNumber,

    /// <summary>Redeems the ticket <see cref="ProbeRequest.Secret"/> at <see cref="ProbeRequest.Socket"/>; answers with the broker's byte, as text, and with the connection's number.</summary>
    Redeem,

    /// <summary>The inode of the descriptor that the ticket's connection (<see cref="ProbeRequest.Connection"/>) brought.</summary>
    RedeemedInode,

    /// <summary>Maps that descriptor, and reads 32 bits at <see cref="ProbeRequest.Offset"/>, in its first page.</summary>
    RedeemedRead,

    /// <summary>Waits for the end of the ticket's connection.</summary>
    AwaitRedeemedEnd,

    /// <summary>Closes the ticket's connection, and its descriptor.</summary>
    CloseRedeemed,

    /// <summary>How many descriptors the probe has open.</summary>
    CountDescriptors,

    /// <summary>
    /// Takes, uses and gives back leases without rest, of random parts of a range, on a connection of its own; <see cref="ProbeRequest.Value"/>
    /// is the seed. Answers when it has the first, and goes on until the broker is gone.
    /// </summary>
    BeginTraffic,

    /// <summary>
    /// After the broker's end: looks whether anything that the traffic held can still be reached, which is an error. Answers with how many
    /// leases it held, and in words with what it had done.
    /// </summary>
    EndTraffic,

    /// <summary>
    /// Acquires, all at once, and checks what came: each descriptor has the inode that its reply names, is the page that was asked for, and
    /// nobody else's. Answers with how many, and in words with what else was done.
    /// </summary>
    StressAcquire,

    /// <summary>The same without rest; answers after the first round of each connection, and goes on until the probe is killed.</summary>
    StressForever,

    /// <summary>The same on a bare socket, whose answers are read a byte at a time once they fill it.</summary>
    StressByteByByte,

    /// <summary>The same with a table of open descriptors that has room for <see cref="ProbeRequest.Value"/> only; answers with how many were lost.</summary>
    StressFullTable,

    /// <summary>Sends Acquires on bare sockets, reads nothing, and answers at once.</summary>
    StressStopReading,

    /// <summary>Reads and checks on those sockets what was not read. Answers with how many descriptors had come.</summary>
    StressReadOn,

    /// <summary>Closes those sockets, unread.</summary>
    StressHangUp,
}

/// <summary>A probe's answer, one JSON line each on its standard output.</summary>
internal sealed record ProbeReply
{
    /// <summary>A number that was asked for: of a connection or lease, a value read, an errno, a count.</summary>
    public ulong Value { get; init; }

    /// <summary>A text that was asked for.</summary>
    public string? Text { get; init; }

    /// <summary>The lease that was acquired.</summary>
    public ProbeLease? Lease { get; init; }

    /// <summary>The operation threw.</summary>
    public ProbeError? Error { get; init; }
}

/// <summary>A lease's properties, as the SDK shows them.</summary>
internal sealed record ProbeLease(
    ulong Id, string Device, string? Window, int Bar, ulong Offset, ulong Length, ProbeRange[] Ranges, string Access, bool Exclusive, string MemoryType, bool P2P);

/// <summary>A part of a BAR, in bytes.</summary>
internal sealed record ProbeRange(ulong Offset, ulong Length);

/// <summary>An exception.</summary>
/// <param name="Type">Its class, without namespace.</param>
/// <param name="Message">Its message; of a failed call, the status's.</param>
/// <param name="Status">The status code of a failed call.</param>
/// <param name="Reason">The ErrorInfo reason of a failed call.</param>
internal sealed record ProbeError(string Type, string Message, string? Status, string? Reason);

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ProbeRequest))]
[JsonSerializable(typeof(ProbeReply))]
internal sealed partial class ProbeJson : JsonSerializerContext;
