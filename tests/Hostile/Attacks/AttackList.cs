namespace BarBroker.Hostile.Attacks;

/// <summary>All attacks.</summary>
internal static class AttackList
{
    private static readonly byte[] OpenCall = AttackSocket.Frame(AttackSocket.Headers, AttackSocket.EndHeaders, 1, AttackSocket.HeaderBlock(Paths.Watch));

    // RFC 7541: an entry of some 4000 bytes goes into the dynamic table, and is named a hundred times.
    private static readonly byte[] Bomb =
        [0x83, 0x86, 0x84, 0x40, 1, (byte)'x', 127, 0xc5, 0x1e, .. Enumerable.Repeat((byte)'y', 4036), .. Enumerable.Repeat((byte)0xbe, 100)];

    internal static IReadOnlyList<Attack> All { get; } =
    [
        new NoAttack(),
        new SilentConnections(),
        new SlowLoris(),
        new HalfOpenConnections(),
        new ConnectionFlood(),
        new Garbage(),
        new FrameFlood("ping_flood", "ping", AttackSocket.Frame(6, 0, 0, new byte[8])),
        new FrameFlood("settings_flood", "settings", AttackSocket.Frame(4, 0, 0, [])),
        new FrameFlood("priority_flood", "priority", AttackSocket.Frame(2, 0, 1, [0, 0, 0, 0, 1])),
        new FrameFlood("window_update_flood", "window_update", AttackSocket.Frame(8, 0, 0, [0, 0, 0, 1])),
        new FrameFlood("empty_data_flood", "tiny_data", AttackSocket.Frame(0, 0, 1, []), OpenCall),
        new FrameFlood("reset_flood", "reset", AttackSocket.Frame(3, 0, 1, [0, 0, 0, 8]), OpenCall),
        new FrameFlood("unknown_frame_flood", "other", AttackSocket.Frame(0xee, 0, 0, [])),
        new FrameFlood("continuation_flood", "continuation", AttackSocket.Frame(9, 0, 1, []), AttackSocket.Frame(AttackSocket.Headers, 0, 1, [0x83])),
        new StreamFlood(),
        new RapidReset(),
        new Nonsense("hpack_bomb", ["connection"], AttackSocket.Frame(AttackSocket.Headers, AttackSocket.EndHeaders, 1, Bomb)),
        new Nonsense("hpack_nonsense", ["header_compression"], AttackSocket.Frame(AttackSocket.Headers, AttackSocket.EndHeaders, 1, [0x80 | 126])),
        new Nonsense("oversized_frames", ["connection"], AttackSocket.Frame(0, 0, 1, new byte[(16 * 1024) + 1])),
        new OversizedMessages(),
        new HeldCalls(),
        new CallFlood(),
        new UnreadDescriptors(),
        new TicketGuesses(),
        new TicketReplay(),
    ];

    internal static Attack Find(string name) => All.FirstOrDefault(attack => attack.Name == name)
        ?? throw new ArgumentException($"There is no attack '{name}'; there are: {string.Join(' ', All.Select(static attack => attack.Name))}.");
}
