using System.Text;
using BarBroker.Transport.Redeem;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace BarBroker.Tests.Tickets;

public sealed class TicketPrefaceTests
{
    private const string Digits = "0123456789abcdef0123456789abcdef";

    /// <summary>A right one, and what is nearly one: most arbitrary bytes differ in the first already.</summary>
    private static readonly Arbitrary<byte[]> Near = ArbMap.Default.GeneratorFor<byte[]>().Select(static change => Change(change ?? [])).ToArbitrary();

    [Fact]
    public void Arbitrary_bytes_are_taken_for_a_ticket_only_in_the_exact_form() =>
        Prop.ForAll<byte[]>(static bytes => IsRight(bytes ?? [])).QuickCheckThrowOnFailure();

    [Fact]
    public void Bytes_that_are_nearly_a_ticket_are_taken_for_one_only_in_the_exact_form() =>
        Prop.ForAll(Near, static bytes => IsRight(bytes)).QuickCheckThrowOnFailure();

    [Fact]
    public void Nothing_becomes_a_ticket_after_it_was_said_that_it_can_not() =>
        Prop.ForAll(
            Near,
            static bytes => !TicketPreface.TryRead(bytes, out _) || Enumerable.Range(0, bytes.Length + 1).All(length => TicketPreface.IsBeginning(bytes.AsSpan(0, length))))
            .QuickCheckThrowOnFailure();

    [Fact]
    public void A_secret_is_read_as_it_was_shown()
    {
        for (int i = 0; i < 100; i++)
        {
            TicketSecret secret = TicketSecret.Create();
            Assert.Matches("^[0-9a-f]{32}$", secret.Reveal());
            Assert.True(TicketPreface.TryRead(Encoding.ASCII.GetBytes($"BARFD1 {secret.Reveal()}\n"), out TicketSecret read));
            Assert.Equal(secret, read);
        }
    }

    [Fact]
    public void A_secret_with_leading_zeros_keeps_them()
    {
        Assert.True(TicketSecret.TryParse("0000000000000000000000000000000a"u8, out TicketSecret secret));
        Assert.Equal("0000000000000000000000000000000a", secret.Reveal());
    }

    [Fact]
    public void A_secret_does_not_show_itself_by_accident()
    {
        TicketSecret secret = TicketSecret.Create();

        Assert.DoesNotContain(secret.Reveal(), $"{secret}", StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("BARFD1 " + Digits + "\n", true)]
    [InlineData("BARFD1 " + Digits, false)]
    [InlineData("BARFD1 " + Digits + "\r", false)]
    [InlineData("BARFD1 " + Digits + "\n\n", false)]
    [InlineData("BARFD1  123456789abcdef0123456789abcdef\n", false)]
    [InlineData("BARFD1 0123456789ABCDEF0123456789ABCDEF\n", false)]
    [InlineData("BARFD2 " + Digits + "\n", false)]
    [InlineData("barfd1 " + Digits + "\n", false)]
    [InlineData("BARFD1 g123456789abcdef0123456789abcdef\n", false)]
    [InlineData("", false)]
    public void Only_the_exact_form_is_one(string text, bool isOne) => Assert.Equal(isOne, TicketPreface.TryRead(Encoding.ASCII.GetBytes(text), out _));

    /// <summary>One byte is another, or the end is missing, or there is more after it, or none of that.</summary>
    private static byte[] Change(byte[] change)
    {
        byte[] bytes = Encoding.ASCII.GetBytes($"BARFD1 {Digits}\n");
        if (change.Length < 2)
        {
            return bytes;
        }

        int at = change[0] % bytes.Length;
        switch (change[1] % 4)
        {
            case 0:
                return bytes[..at];
            case 1:
                return [.. bytes, .. change];
            case 2:
                bytes[at] = change[^1];
                return bytes;
            default:
                bytes[at] = (byte)"0a\nAfgB "[change[^1] % 8];
                return bytes;
        }
    }

    private static bool IsRight(byte[] bytes)
    {
        bool isOne = System.Text.RegularExpressions.Regex.IsMatch(Encoding.Latin1.GetString(bytes), @"\ABARFD1 [0-9a-f]{32}\n\z");
        return TicketPreface.TryRead(bytes, out _) == isOne && (!isOne || TicketPreface.IsBeginning(bytes));
    }
}
